"""The pictures show what they say, in the units they name, and are written whole or not at all."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure

from pkpd.checks import InputError
from pkpd.dosing import FirstOrderCourse
