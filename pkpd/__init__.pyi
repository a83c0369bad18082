from .catalogue import load_card as load_card
from .catalogue import load_model as load_model
from .catalogue import model_names as model_names
from .checks import InputError as InputError
from .component import Component as Component
from .component import Port as Port
from .devices import configure as configure
from .dosing import Dose as Dose
from .dosing import Records as Records
from .dosing import Regimen as Regimen
from .dosing import Rest as Rest
from .dosing import load_records as load_records
from .dosing import write_records as write_records
from .exposures import Exposure as Exposure
from .exposures import exposure as exposure
from .individuals import sample_patients as sample_patients
from .observation import observe as observe
from .observed import bind_records as bind_records
from .observed import records_for as records_for
from .observed import simulate_records as simulate_records
from .parameters import parameter as parameter
from .records import fit as fit
from .records import load_answer as load_answer
from .records import to_arviz as to_arviz
from .simulation import bind as bind
from .simulation import simulate as simulate

__version__: str
