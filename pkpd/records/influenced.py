"""What a fit owes to each study, arm and prior."""

from typing import Any

import numpy as np
import xarray

from pkpd.infer.batch import CONVERGED
from pkpd.infer.influence import alternatives
from pkpd.records.refits import fitted, statuses
from pkpd.records.study import Study

LARGE = 0.5  # posterior standard deviations
WORDS = (
    f"A shift of more than {LARGE:g} posterior standard deviations says that the estimate rests on that part "
    "of the evidence, or on where that prior is centred (moved here by one of its standard deviations)."
)


def told(study: Study, found: xarray.Dataset) -> dict[str, Any]:
    """By alternative, which parameters move from the mode and by how many posterior standard deviations, the
    most moved first; none where the refit did not converge."""
    problem, answer = fitted(study)
    spread, (labels, _) = answer.draws.std(axis=0, ddof=1), alternatives(problem)
    rows = []
    for k, place in enumerate(found["item"].values):
        shift = (found["point"].values[k] - answer.mode.point) / spread
        order = np.argsort(-np.abs(shift)) if found["status"].values[k] == CONVERGED else []
        moved = {problem.names[i]: float(shift[i]) for i in order}
        rows.append({"alternative": labels[place], "shifts": moved})
    common = {"fit": study.fit, "items": len(rows), "statuses": statuses(found)}
    return {**common, "alternatives": rows, "words": WORDS}
