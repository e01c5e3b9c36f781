"""HED: holistically-nested edge detection as an additional input channel."""
