"""The consent ledger refuses to be rewritten, whoever asks: service, admin, script or psql."""

from django.db import migrations

FORWARD = """
CREATE FUNCTION contacts_consent_refuse_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the consent ledger is append-only: record a new line instead'
        USING ERRCODE = 'integrity_constraint_violation';
END $$;

CREATE TRIGGER contacts_consent_append_only BEFORE UPDATE ON contacts_consent
    FOR EACH ROW EXECUTE FUNCTION contacts_consent_refuse_update();

-- Lines go only together with their contact. Checked at commit, because an erasure deletes the lines first.
CREATE FUNCTION contacts_consent_refuse_delete() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM contacts_contact WHERE id = OLD.contact_id) THEN
        RAISE EXCEPTION 'the consent ledger is append-only: its lines go only with the contact'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER contacts_consent_goes_with_contact AFTER DELETE ON contacts_consent
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION contacts_consent_refuse_delete();
"""

BACKWARD = """
DROP TRIGGER contacts_consent_goes_with_contact ON contacts_consent;
DROP TRIGGER contacts_consent_append_only ON contacts_consent;
DROP FUNCTION contacts_consent_refuse_delete();
DROP FUNCTION contacts_consent_refuse_update();
"""


class Migration(migrations.Migration):
    dependencies = [("contacts", "0002_import_jobs_and_search")]

    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
