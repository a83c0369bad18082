from .arms import plot_arms as plot_arms
from .cells import plot_cells as plot_cells
from .exposure import exposure_times as exposure_times
from .exposure import plot_exposure as plot_exposure
from .files import save as save
from .posterior import plot_posterior as plot_posterior
from .starts import plot_starts as plot_starts
from .tumour import plot_tumour as plot_tumour
