// Verifies what the hub publishes with Go's own implementations (golang.org/x/mod/sumdb: note and tlog). Reads one JSON
// question a line, answers one JSON line each.
package main

import (
	"bufio"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type question struct {
	Op, Note        string
	Keys            []string
	Leaf            []byte
	Root, Old       []byte
	Index, Size, At int64
	Path            [][]byte
	Bundles         [][]byte
}

// cosigner verifies C2SP tlog-cosignature signatures, which note does not know by itself.
type cosigner struct {
	name string
	hash uint32
	key  ed25519.PublicKey
}

func (c cosigner) Name() string    { return c.name }
func (c cosigner) KeyHash() uint32 { return c.hash }
func (c cosigner) Verify(msg, sig []byte) bool {
	if len(sig) != 72 {
		return false
	}
	head := fmt.Sprintf("cosignature/v1\ntime %d\n", binary.BigEndian.Uint64(sig))
	return ed25519.Verify(c.key, append([]byte(head), msg...), sig[8:])
}

func verifier(vkey string) (note.Verifier, error) {
	parts := strings.SplitN(vkey, "+", 3)
	if len(parts) == 3 {
		key, err := base64.StdEncoding.DecodeString(parts[2])
		if err == nil && len(key) == 33 && key[0] == 4 {
			sum := sha256.Sum256(append([]byte(parts[0]+"\n"), key...))
			return cosigner{parts[0], binary.BigEndian.Uint32(sum[:4]), key[1:]}, nil
		}
	}
	return note.NewVerifier(vkey)
}

func hashes(all [][]byte) (found []tlog.Hash) {
	for _, each := range all {
		found = append(found, hash(each))
	}
	return
}

func hash(b []byte) (h tlog.Hash) { copy(h[:], b); return }

func answer(q question) (interface{}, error) {
	for _, each := range append(q.Path, q.Root, q.Old) {
		if len(each) != 0 && len(each) != tlog.HashSize {
			return nil, errors.New("a hash has another length")
		}
	}
	switch q.Op {
	case "checkpoint":
		var known []note.Verifier
		for _, key := range q.Keys {
			v, err := verifier(key)
			if err != nil {
				return nil, err
			}
			known = append(known, v)
		}
		opened, err := note.Open([]byte(q.Note), note.VerifierList(known...))
		if err != nil {
			return nil, err
		}
		names := []string{}
		for _, sig := range opened.Sigs {
			// note reads base64 whose unused bits are set; there is one spelling for one signature.
			if _, err := base64.StdEncoding.Strict().DecodeString(sig.Base64); err != nil {
				return nil, err
			}
			names = append(names, sig.Name)
		}
		return names, nil
	case "inclusion":
		return true, tlog.CheckRecord(hashes(q.Path), q.Size, hash(q.Root), q.Index, tlog.RecordHash(q.Leaf))
	case "consistency":
		return true, tlog.CheckTree(hashes(q.Path), q.Size, hash(q.Root), q.At, hash(q.Old))
	case "root":
		var stored []tlog.Hash
		read := tlog.HashReaderFunc(func(indexes []int64) (found []tlog.Hash, err error) {
			for _, i := range indexes {
				found = append(found, stored[i])
			}
			return
		})
		n := int64(0)
		for _, bundle := range q.Bundles {
			for len(bundle) > 0 {
				end := 2 + int(binary.BigEndian.Uint16(bundle))
				if end > len(bundle) {
					return nil, errors.New("a bundle is cut short")
				}
				more, err := tlog.StoredHashes(n, bundle[2:end], read)
				if err != nil {
					return nil, err
				}
				stored, n, bundle = append(stored, more...), n+1, bundle[end:]
			}
		}
		root, err := tlog.TreeHash(n, read)
		return root[:], err
	}
	return nil, errors.New("no such operation")
}

func main() {
	lines := bufio.NewReader(os.Stdin)
	out := json.NewEncoder(os.Stdout)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return
		}
		var q question
		found, err := interface{}(nil), json.Unmarshal(line, &q)
		if err == nil {
			found, err = answer(q)
		}
		if err != nil {
			out.Encode(map[string]interface{}{"error": err.Error()})
		} else {
			out.Encode(map[string]interface{}{"found": found})
		}
	}
}
