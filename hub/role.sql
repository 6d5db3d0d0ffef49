-- What the hub asks of its database: the role as which it reads and writes, which can add to the log and change nothing
-- there, and an extension.

DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'hub_writer') THEN
        CREATE ROLE hub_writer NOLOGIN;
    END IF;
    -- Who may become it already may not be able to give it, and need not.
    BEGIN
        SET LOCAL ROLE hub_writer;
        RESET ROLE;
    EXCEPTION WHEN insufficient_privilege THEN
        GRANT hub_writer TO CURRENT_USER;
    END;
END $$;

-- By which misspelled words are found.
CREATE EXTENSION IF NOT EXISTS pg_trgm SCHEMA public;
