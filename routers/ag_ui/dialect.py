"""AG-UI as one of the dialects."""

from routers.ag_ui import runs
from routers.http.dialects import Dialect
from routers.http.error_shapes import PLAIN_TEXT

DIALECT = Dialect("/ag-ui", [runs.router], PLAIN_TEXT)
