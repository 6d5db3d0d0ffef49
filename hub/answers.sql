-- What is noted of a request that may be sent again is salted by a secret that goes with whom it is about. What an older
-- hub noted was not: it is written anew without that, once. The index's new name says that it was.
ALTER TABLE hub.answer ALTER COLUMN hash TYPE text USING '';
ALTER INDEX hub.answer_pkey RENAME TO answer_by_key;
