/*
 * vae96: 96×96 image classifiers for microcontrollers.
 *
 *     static const uint8_t model[] = …;                      at a multiple of V96_MODEL_ALIGNMENT
 *     static _Alignas(V96_MEMORY_ALIGNMENT) uint8_t memory[V96_EDGE_BYTES];
 *     v96 *network;
 *     v96_answer answer;
 *
 *     v96_open(&V96_EDGE, model, sizeof model, memory, sizeof memory, &network);
 *     for (each of V96_SIDE rows) v96_push_row(network, row, V96_ROW_BYTES);
 *     v96_finish(network, &answer);
 */

#pragma once

/* Made by `V96_HEADER=write cargo test -p vae96-c`. */

#include <stddef.h>
#include <stdint.h>
#if UINTPTR_MAX == UINT32_MAX
#define V96_32_BITS
#else
#define V96_64_BITS
#endif

/*
 Rows of an image, and pixels of a row.
 */
#define V96_SIDE 96

/*
 Bytes of a row: red, green and blue of each pixel.
 */
#define V96_ROW_BYTES 288

/*
 What the address of a model must be a multiple of.
 */
#define V96_MODEL_ALIGNMENT 16

/*
 What the address of the memory must be a multiple of.
 */
#define V96_MEMORY_ALIGNMENT 8

#if defined(V96_32_BITS)
/*
 Bytes of memory for `V96_EDGE`.
 */
#define V96_EDGE_BYTES 15056
#endif

#if defined(V96_64_BITS)
/*
 Bytes of memory for `V96_EDGE`.
 */
#define V96_EDGE_BYTES 15136
#endif

#if defined(V96_32_BITS)
/*
 Bytes of memory for `V96_EDGE_DENSE`.
 */
#define V96_EDGE_DENSE_BYTES 9696
#endif

#if defined(V96_64_BITS)
/*
 Bytes of memory for `V96_EDGE_DENSE`.
 */
#define V96_EDGE_DENSE_BYTES 9776
#endif

#if defined(V96_32_BITS)
/*
 Bytes of memory for `V96_EDGE_ENCODER`.
 */
#define V96_EDGE_ENCODER_BYTES 7152
#endif

#if defined(V96_64_BITS)
/*
 Bytes of memory for `V96_EDGE_ENCODER`.
 */
#define V96_EDGE_ENCODER_BYTES 7232
#endif

/*
 What became of a call.
 */
typedef enum v96_status {
  /*
   All went well.
   */
  V96_OK = 0,
  /*
   A pointer is NULL.
   */
  V96_NULL = 1,
  /*
   The memory is smaller than the network's macro says.
   */
  V96_MEMORY_TOO_SMALL = 2,
  /*
   The memory is not at a multiple of `V96_MEMORY_ALIGNMENT`.
   */
  V96_MEMORY_MISALIGNED = 3,
  /*
   The network is an encoder, which tells no classes apart.
   */
  V96_NO_CLASSES = 4,
  /*
   A row is not of `V96_ROW_BYTES` bytes; it is ignored.
   */
  V96_ROW_LENGTH = 10,
  /*
   The image is complete; the row is ignored.
   */
  V96_TOO_MANY_ROWS = 11,
  /*
   The image is not complete; its rows are forgotten.
   */
  V96_TOO_FEW_ROWS = 12,
  /*
   The file is shorter than the header of a model.
   */
  V96_MODEL_TOO_SHORT = 20,
  /*
   The file is no model.
   */
  V96_MODEL_MAGIC = 21,
  /*
   The model is cut off, or something follows it.
   */
  V96_MODEL_LENGTH = 22,
  /*
   The model is damaged: its checksum does not match.
   */
  V96_MODEL_CHECKSUM = 23,
  /*
   The model is of an older or newer version than this library reads.
   */
  V96_MODEL_VERSION = 24,
  /*
   The model is of another network.
   */
  V96_MODEL_OTHER_NETWORK = 25,
  /*
   The model's weights are ordered for kernels that this library does not have.
   */
  V96_MODEL_WEIGHT_LAYOUT = 26,
  /*
   The model is not at a multiple of `V96_MODEL_ALIGNMENT`.
   */
  V96_MODEL_MISALIGNED = 27,
  /*
   The model's contents contradict each other.
   */
  V96_MODEL_INCONSISTENT = 28,
} v96_status;

/*
 A network with its model and line buffers, in memory of the caller's.
 */
typedef struct v96 v96;

/*
 A network: what a model must be for. A program is linked with those alone that it names.
 */
typedef struct v96_network v96_network;

/*
 What a network made of an image: real number = scale × (value − zero point).
 */
typedef struct v96_answer {
  /*
   One value a class, or a latent's; they stay until the next row is pushed.
   */
  const int8_t *values;
  /*
   How many values.
   */
  size_t count;
  /*
   Real difference of neighbouring values.
   */
  float scale;
  /*
   The value that stands for zero.
   */
  int8_t zero_point;
} v96_answer;

/*
 One class and how well it fits.
 */
typedef struct v96_score {
  /*
   The class, counted from 0.
   */
  size_t class_;
  /*
   Its softmax probability.
   */
  float probability;
  /*
   Its name in UTF-8, a part of the model; NULL if the model names none.
   */
  const char *name;
} v96_score;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/*
 `edge` with its convolutional head.
 */
extern const struct v96_network V96_EDGE;

/*
 `edge` with its dense head.
 */
extern const struct v96_network V96_EDGE_DENSE;

/*
 The encoder of the `edge` VAE: it gives the mean of the latent.
 */
extern const struct v96_network V96_EDGE_ENCODER;

/*
 Checks a model and makes a network of it ready in `memory`, of `size` bytes: the macro that is
 named after the network. Both must stay as they are until the network is no longer used; there
 is nothing to close.

 # Safety
 `model` points to `length` bytes that do not change, `memory` to `size` bytes that are nobody
 else's, both as long as the network is used; `opened` points to a pointer. Each may be NULL.
 */
enum v96_status v96_open(const struct v96_network *network,
                         const uint8_t *model,
                         size_t length,
                         uint8_t *memory,
                         size_t size,
                         struct v96 **opened);

/*
 Takes the image's next row of `length` bytes, from top to bottom, and computes all it can from
 it. The row is not needed afterwards.

 # Safety
 `network` is what `v96_open` gave, and nobody else uses it meanwhile; `row` points to `length`
 bytes. Each may be NULL.
 */
enum v96_status v96_push_row(struct v96 *network, const uint8_t *row, size_t length);

/*
 Gives the answer to the image that was pushed. The next row begins a new image.

 # Safety
 `network` is what `v96_open` gave, and nobody else uses it meanwhile; `answer` may be written
 to. Each may be NULL.
 */
enum v96_status v96_finish(struct v96 *network, struct v96_answer *answer);

/*
 Forgets the rows received: the next one begins a new image.

 # Safety
 `network` is what `v96_open` gave, and nobody else uses it meanwhile. It may be NULL.
 */
enum v96_status v96_restart(struct v96 *network);

/*
 The most probable class of a classifier's answer, of equal ones the lowest.

 # Safety
 `network` is what `v96_open` gave, `answer` is its latest, and no row was pushed since; `best`
 may be written to. Each may be NULL.
 */
enum v96_status v96_best(const struct v96 *network,
                         const struct v96_answer *answer,
                         struct v96_score *best);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus
