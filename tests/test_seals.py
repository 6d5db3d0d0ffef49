"""Stories of the seals of read models: the hub records them, and nobody else."""

from domain.core import HUB, Reason
from domain.seals.commands import SealedModel, SealReadModels
from domain.seals.events import ReadModelSealed
from tests.region import OFFICER, PEOPLE
from tests.stories import given, id_

CODE, ROOT, OTHER = "ab" * 32, "cd" * 32, "ef" * 32
MODELS = (SealedModel("proposal", 20, ROOT), SealedModel("call", 3, OTHER))


def test_the_hub_seals_its_read_models():
    shared = {"seal": id_("seal", 101), "code": CODE, "position": 10_000}
    given(*PEOPLE).when(SealReadModels(code=CODE, position=10_000, models=MODELS), by=HUB).then(
        ReadModelSealed(name="proposal", rows=20, root=ROOT, **shared),
        ReadModelSealed(name="call", rows=3, root=OTHER, **shared),
    )


def test_nobody_else_does():
    given(*PEOPLE).when(SealReadModels(code=CODE, position=1, models=MODELS), by=OFFICER).refused(Reason.NOT_PERMITTED)


def test_a_model_is_sealed_once_in_a_seal():
    twice = SealReadModels(code=CODE, position=1, models=(*MODELS, SealedModel("call", 4, ROOT)))
    given(*PEOPLE).when(twice, by=HUB).refused(Reason.INVALID, "models")
