"""python -m svmbench"""

from svmbench.cli import main

main()
