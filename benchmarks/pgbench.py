"""The statements of a finalize call by pgbench: what the database gives with nothing of the portal in front of it."""

import os
import re
import subprocess
import tempfile
from pathlib import Path
from uuid import uuid4

import psycopg

#: Rows of a client are numbered from its own hundred thousand.
EACH = 100_000
KEY = "('{half}' || lpad(to_hex({number}), 16, '0'))::uuid"
PREPARE = """
INSERT INTO portal_uploadbatch (id, owner_id, name, metadata, total_files, stored_count, failed_count, total_bytes,
    stored_bytes, created_at, updated_at)
SELECT {batch}, (SELECT min(id) FROM auth_user), '', '{{}}', {total}, 0, 0, 0, 0, now(), now()
FROM generate_series(0, {last}) AS b;
INSERT INTO portal_ingestfile (id, owner_id, batch_id, original_filename, content_type, size_bytes, sha256, status,
    status_at, metadata, storage_backend, storage_key, created_at, session_id)
SELECT {file}, (SELECT min(id) FROM auth_user), {of_client}, 'empty', 'application/octet-stream', 0, '', 'UPLOADING',
    now(), '{{}}', '', '', now(), {file}
FROM generate_series(0, {clients} - 1) AS c, generate_series(1, {count}) AS i;
INSERT INTO portal_uploadsession (id, owner_id, file_id, status, status_at, chunk_size_bytes, total_parts,
    total_size_bytes, completed_parts, received_bytes, declared_sha256, created_at, expires_at, fence, attempts,
    object_key, bytes_removed)
SELECT {file}, (SELECT min(id) FROM auth_user), {file}, 'INIT', now(), 8388608, 0, 0, 0, 0, '', now(),
    now() + interval '7 days', 0, 0, '', false
FROM generate_series(0, {clients} - 1) AS c, generate_series(1, {count}) AS i;
"""
#: What the call asks, in its order: who, what; the claim; the parts; then all that a stored file changes.
SCRIPT = """
\\set i :i + 1
\\set n :client_id * {each} + :i
\\set b :client_id % {batches}
SELECT * FROM portal_apitoken JOIN auth_user ON auth_user.id = portal_apitoken.user_id WHERE digest = '{digest}';
SELECT * FROM portal_uploadsession JOIN portal_ingestfile ON portal_ingestfile.id = portal_uploadsession.file_id
    WHERE portal_uploadsession.owner_id = 1 AND portal_uploadsession.id = {session};
BEGIN;
UPDATE portal_uploadsession SET status = 'FINALIZING', status_at = clock_timestamp(), claim_token = gen_random_uuid(),
    lease_until = clock_timestamp() + interval '60 s', object_key = 'aa/bb/' || :n,
    expires_at = clock_timestamp() + interval '7 days'
    WHERE completed_parts = total_parts AND id = {session} AND status = 'INIT';
COMMIT;
SELECT size_bytes, blake3 FROM portal_uploadpart WHERE session_id = {session} ORDER BY number;
BEGIN;
UPDATE portal_uploadsession SET status = 'COMPLETE', status_at = clock_timestamp(), claim_token = NULL,
    lease_until = NULL WHERE id = {session} AND status = 'FINALIZING';
UPDATE portal_ingestfile SET status = 'STORED', status_at = clock_timestamp(), sha256 = '{digest}',
    storage_backend = 'local', storage_key = 'aa/bb/' || :n, stored_at = clock_timestamp(), error = NULL
    WHERE id = {session} AND status = 'UPLOADING';
SELECT * FROM auth_user WHERE id = 1;
INSERT INTO portal_outboxevent (id, owner_id, event_type, subject_id, batch_id, file_id, payload, created_at)
    VALUES (gen_random_uuid(), (SELECT min(id) FROM auth_user), 'file.uploaded', {session}, {batch}, {session},
    '{payload}', clock_timestamp());
UPDATE portal_uploadbatch SET total_files = total_files + 0, stored_count = stored_count + 1,
    failed_count = failed_count + 0, total_bytes = total_bytes + 0, stored_bytes = stored_bytes + 0,
    updated_at = clock_timestamp() WHERE id = {batch};
UPDATE portal_uploadbatch SET completed_at = clock_timestamp() WHERE id = {batch} AND completed_at IS NULL
    AND stored_count >= expected_files;
COMMIT;
"""


def finalize_by_pgbench(pgbench, url, *, batches, clients, count):
    """Finalize `count` made sessions for each client; return the rate. Each call makes rows of its own."""
    run = uuid4().hex
    batch_half, file_half = f"{run[:11]}07{run[13:16]}", f"{run[:11]}17{run[13:16]}"
    fields = {
        "batch": KEY.format(half=batch_half, number="b"),
        "of_client": KEY.format(half=batch_half, number=f"c % {batches}"),
        "file": KEY.format(half=file_half, number=f"c * {EACH} + i"),
    }
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            PREPARE.format(**fields, last=batches - 1, total=clients * count, clients=clients, count=count)
        )
        connection.execute("VACUUM ANALYZE portal_uploadsession, portal_ingestfile, portal_uploadbatch")
    script = SCRIPT.format(
        each=EACH,
        batches=batches,
        digest="0" * 64,
        payload='{"file": "' + "x" * 600 + '"}',
        session=KEY.format(half=file_half, number=":n"),
        batch=KEY.format(half=batch_half, number=":b"),
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "finalize.sql"
        path.write_text(script)
        options = ["-n", "-f", path, "-D", "i=0", "-c", clients, "-j", min(clients, os.cpu_count()), "-t", count]
        done = subprocess.run([pgbench, *map(str, options), url], capture_output=True, text=True)
    rate = re.search(r"tps = ([\d.]+) \(without", done.stdout)
    if done.returncode or not rate:
        raise RuntimeError(f"pgbench: {done.stdout[-500:]}{done.stderr[-500:]}")
    with psycopg.connect(url) as connection:
        stored = connection.execute(
            f"SELECT sum(stored_count) FROM portal_uploadbatch WHERE id >= {KEY.format(half=batch_half, number='0')} "  # noqa: S608 - of ours
            f"AND id <= {KEY.format(half=batch_half, number=str(batches - 1))}"
        ).fetchone()[0]
    if stored != clients * count:
        raise RuntimeError(f"pgbench stored {stored} of {clients * count}")
    return {"rate": float(rate[1])}
