-- 0006: by what somebody was let in, of events that people and programs caused. Canonical JSON, the
-- very text that was hashed; '' of what the engine did, and of events from before this.
ALTER TABLE events ADD COLUMN auth VARCHAR DEFAULT '';
