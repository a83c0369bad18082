from .catalogue import load_card as load_card
from .catalogue import load_model as load_model
from .catalogue import model_names as model_names
from .checks import InputError as InputError
from .devices import configure as configure
from .dosing import Dose as Dose
from .dosing import Regimen as Regimen
from .dosing import Rest as Rest
from .records import fit as fit
from .records import load_answer as load_answer
from .simulation import bind as bind
from .simulation import sample_patients as sample_patients
from .simulation import simulate as simulate

__version__: str
