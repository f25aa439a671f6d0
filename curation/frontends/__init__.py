"""The log-mel front ends of the networks that the papers use: one table of constants, one formula, batched.

`spec` says what each front end is, `core.log_mel` computes any of them, `inputs` lays the result out as each network reads it.
The formula is written once for NumPy arrays and PyTorch tensors (any device): `_arrays` and `_tensors` hold the few operations in
which the two differ. The worker that decodes uses arrays, because PyTorch would cost each worker 190 MB and two seconds; actors
and training use tensors.
"""
