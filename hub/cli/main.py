"""The command line: ``hub``.

Exit codes: 0 done; 1 refused, or a difference was found; 2 wrong usage or malformed input; 3 the database is not to
be had; 141 nobody read the output to its end; 128 and the number of the signal that ended it, as 130 for Ctrl-C.
"""

import click

from hub.cli.audit import key, policy, restore, seal, witness
from hub.cli.backups import backup
from hub.cli.console import Program
from hub.cli.doctor import doctor
from hub.cli.doing import do
from hub.cli.log import log, show
from hub.cli.mirroring import mirror
from hub.cli.models import rebuild, verify_
from hub.cli.persons import forget, invite, link, people, revoke, token
from hub.cli.ror import import_
from hub.cli.serving import at, serve


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="central-asia-ai-hub", message="%(version)s")
def main() -> None:
    """The hub for joint AI research in Central Asia.

    Data live in HUB_HOME, or in the PostgreSQL server that HUB_DATABASE_URL names.
    Exit codes: 0 done, 1 refused or different, 2 wrong usage or malformed input, 3 no database,
    141 nobody read the output to its end, 128 and a signal's number where that ended it (130: Ctrl-C).
    """


_log, _people = (log, show, rebuild, verify_, import_), (people, invite, link, token, revoke, forget)
_trust = (key, policy, seal, witness, mirror)
for _command in (do, doctor, serve, at, backup, restore, *_log, *_people, *_trust):
    main.add_command(_command)
