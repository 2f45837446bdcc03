// The package raises the standard to what its headers need, and no further.
static_assert(__cplusplus == 202002L);
