"""Forms of who acts and who signs for an organization."""

from domain.organizations.offices import AppointOfficer, AuthorizeSignatory, DismissOfficer, RevokeSignatory
from web.forms.people import Office


class Appointing(Office, of=(AppointOfficer,)):
    """Those who are no officers of it."""

    holders = "officers"


class Dismissing(Office, of=(DismissOfficer,)):
    """Its officers."""

    holders, ends = "officers", True


class Authorizing(Office, of=(AuthorizeSignatory,)):
    """Those who do not sign for it."""

    holders = "signatories"


class Revoking(Office, of=(RevokeSignatory,)):
    """Those who sign for it."""

    holders, ends = "signatories", True
