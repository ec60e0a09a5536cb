import sys
from pathlib import Path

# What the tests of this folder share stands beside them in modules.
sys.path.append(str(Path(__file__).parent))
