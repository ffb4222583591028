"""CMU-MOSEI and CMU-MOSI: their releases in all the forms they come in."""
