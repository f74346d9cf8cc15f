"""``python -m voxcpm_openai``."""

from voxcpm_openai.cli import main

main(prog_name="voxcpm-openai")
