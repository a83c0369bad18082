"""Where schedules are judged: a model with virtual patients, and a fit's posterior if there is one."""

import dataclasses
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from pkpd.card import Card
from pkpd.catalogue import load_card, load_model
from pkpd.individuals import sample_patients
from pkpd.infer.problem import Problem
from pkpd.population import typical_patient
from pkpd.records import is_question, load_answer, resolve
from pkpd.simulation import chosen_solver


class Setting(NamedTuple):
    """A problem, points of it [draws, params] (one without entries where nothing is uncertain), and the card
    of its model."""

    problem: Problem
    points: Float[np.ndarray, "draws params"]
    card: Card

    @property
    def fitted(self) -> bool:
        """Whether there is a posterior."""
        return self.points.shape[1] > 0


def setting_of(name: str, patients: int, seed: int = 0) -> Setting:
    """That of a stored fit, or of a model by name or path, without draws; one patient is the typical.

    Raises `InputError` where there is neither.
    """
    if not is_question(name):
        model, card = load_model(name), load_card(name)
        own = typical_patient() if patients == 1 else sample_patients(model, patients, seed)
        solver = dataclasses.replace(chosen_solver(model, own), cores=1)
        return Setting(Problem(model, (), own, solver), np.zeros((1, 0)), card)
    question, answer = load_answer(name)
    problem = resolve(question).problem
    count = max(1, round(patients / problem.patients.groups)) * problem.patients.groups
    crowded = dataclasses.replace(problem, patients=problem.crowd(count, seed))
    return Setting(crowded, answer.draws, load_card(question.model_path))
