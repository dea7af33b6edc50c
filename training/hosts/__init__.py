"""Several hosts that train one network: what they tell each other beside gradients."""
