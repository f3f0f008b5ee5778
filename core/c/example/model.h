/* A model in flash, from model.S. */
#include <stddef.h>
#include <stdint.h>

extern const uint8_t model[];
extern const size_t model_length;
