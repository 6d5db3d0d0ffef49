"""The newest seal of each read model, for auditors."""

from datetime import datetime

from domain.core import SealId
from domain.seals.events import ReadModelSealed
from projections.core import AUDITORS, Row


class SealRow(Row, table="seal", key=("name",)):
    """What a read model was, as it was sealed last."""

    name: str
    seal: SealId
    code: str
    position: int
    rows: int
    root: str
    sealed_at: datetime
    readers: tuple[str, ...]


@SealRow.on(ReadModelSealed)
def sealed(e: ReadModelSealed, at: datetime) -> SealRow:
    """The new seal takes the place of the last one."""
    return SealRow(
        name=e.name,
        seal=e.seal,
        code=e.code,
        position=e.position,
        rows=e.rows,
        root=e.root,
        sealed_at=at,
        readers=(AUDITORS,),
    )
