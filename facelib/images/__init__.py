"""From bytes to pixels: decoding with a reason for every failure, and measures of whole images."""
