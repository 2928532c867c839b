"""A surface over the frontal grid, with the materials that lie on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from facelib.demo.grid import Map
from facelib.demo.identity import Colour


@dataclass
class Surface:
    """Maps (h, w) on the grid: `height` cm, `albedo` (h, w, 3) linear RGB, `gloss`, `hair` and `cloth` in [0, 1]."""

    height: Map
    albedo: Map
    gloss: Map
    hair: Map
    cloth: Map

    def copy(self) -> Surface:
        """A surface whose maps can be painted on without changing this one."""
        return Surface(*(m.copy() for m in (self.height, self.albedo, self.gloss, self.hair, self.cloth)))

    def lay(self, mask: Map, colour: Map | Colour, gloss: float, hair: float = 0.0, cloth: float = 0.0) -> None:
        """Cover with a material where `mask` (h, w), in [0, 1], says so."""
        self.albedo += mask[..., None] * (np.asarray(colour, np.float32) - self.albedo)
        for layer, value in ((self.gloss, gloss), (self.hair, hair), (self.cloth, cloth)):
            layer += mask * (np.float32(value) - layer)
