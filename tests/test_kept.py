"""What an auditor kept long ago still holds: ``kept/`` is a log as it was mirrored at its first version, and its
checkpoint. It is never changed; every later version of the code has to agree with it.
"""

import asyncio
import shutil
from pathlib import Path

from domain.organizations.commands import RegisterOrganization
from hub.audit.following import caught_up
from hub.audit.notes import Checkpoint
from hub.audit.policy import Policy
from hub.audit.restore import restore
from hub.audit.tree import root_at
from hub.door import Hub
from hub.log import make_databases
from tests.sealed import audit

KEPT = Path(__file__).parent / "kept"


def test_what_was_kept_is_verified_by_todays_auditor(tmp_path):
    folder = shutil.copytree(KEPT, tmp_path / "kept")
    assert audit("checkpoint", folder, "--policy", KEPT / "policy")[0] == 0
    assert audit("fsck", folder)[0] == 0
    assert not (folder / "evidence").exists()


def test_todays_hub_has_the_same_log(dsn):
    checkpoint = Checkpoint.parse((KEPT / "checkpoint").read_bytes())

    async def story():
        address, _ = await make_databases(dsn)
        size, new = await restore(address, KEPT, Policy.parse((KEPT / "policy").read_text()))
        assert size == new == checkpoint.head.size
        # Every event is read and folded by today's code, and the log goes on from there.
        hub = await Hub.open(address)
        assert await hub.log.pool.fetchval(f"SELECT count(*) FROM {hub.models.schema}.parked") == 0
        assert await hub.log.pool.fetchval(f"SELECT count(*) FROM {hub.models.schema}.proposal") == 20
        await hub.do(RegisterOrganization(name="A new one", kind="university", city="Osh", country="KG"))
        await caught_up(hub)
        assert await root_at(hub.log.pool, size) == checkpoint.head.root
        await hub.close()

    asyncio.run(story())
