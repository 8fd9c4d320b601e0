"""What improves a recipe: equalization, GPTQ, bias correction, simulation."""
