/* A model in flash, from model.S, and a file of no classes that says when a frame is of none. */
#include <stddef.h>
#include <stdint.h>

extern const uint8_t model[];
extern const size_t model_length;
extern const uint8_t calibrated[];
extern const size_t calibrated_length;
