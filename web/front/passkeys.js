// Passkeys.
const encode = (bytes) => btoa(String.fromCharCode(...new Uint8Array(bytes))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
const decode = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (each) => each.charCodeAt(0));
async function post(address, body) {
  const answer = await fetch(address, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
  if (!answer.ok) throw new Error(answer.status);
  return answer.json();
}
export function passkey(form) {
  // No device makes a passkey for an address of numbers.
  if (!globalThis.PublicKeyCredential || /^[\d.]+$|:/.test(location.hostname)) return;
  form.hidden = false;
  form.dataset.shown = "";
  const registers = form.dataset.passkey === "register";
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const problem = form.querySelector(".problem");
    problem.hidden = true;
    try {
      const options = await post(registers ? "/passkeys/begin" : "/sign-in/passkey/begin", {});
      options.challenge = decode(options.challenge);
      for (const each of options.excludeCredentials ?? options.allowCredentials ?? []) each.id = decode(each.id);
      let made;
      if (registers) {
        options.user.id = decode(options.user.id);
        made = await navigator.credentials.create({ publicKey: options });
      } else {
        made = await navigator.credentials.get({ publicKey: options });
      }
      const response = {};
      for (const name of ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"]) {
        if (made.response[name]) response[name] = encode(made.response[name]);
      }
      if (registers) response.transports = made.response.getTransports?.() ?? [];
      const sent = { id: made.id, rawId: encode(made.rawId), type: made.type, response, clientExtensionResults: {} };
      const { next } = await post(registers ? "/passkeys" : "/sign-in/passkey", { credential: sent, next: form.dataset.next });
      location.assign(next);
    } catch {
      problem.hidden = false;
    }
  });
}
