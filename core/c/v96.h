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

#if defined(V96_32_BITS)
/*
 Bytes of memory for `V96_EDGE_DEEP_ENCODER`.
 */
#define V96_EDGE_DEEP_ENCODER_BYTES 14184
#endif

#if defined(V96_64_BITS)
/*
 Bytes of memory for `V96_EDGE_DEEP_ENCODER`.
 */
#define V96_EDGE_DEEP_ENCODER_BYTES 14264
#endif

#if defined(V96_32_BITS)
/*
 Bytes of memory for `V96_EDGE_WINOGRAD`.
 */
#define V96_EDGE_WINOGRAD_BYTES 30768
#endif

#if defined(V96_64_BITS)
/*
 Bytes of memory for `V96_EDGE_WINOGRAD`.
 */
#define V96_EDGE_WINOGRAD_BYTES 30848
#endif

#if defined(V96_32_BITS)
/*
 Bytes of memory for `V96_EDGE_DEEP_ENCODER_WINOGRAD`.
 */
#define V96_EDGE_DEEP_ENCODER_WINOGRAD_BYTES 29896
#endif

#if defined(V96_64_BITS)
/*
 Bytes of memory for `V96_EDGE_DEEP_ENCODER_WINOGRAD`.
 */
#define V96_EDGE_DEEP_ENCODER_WINOGRAD_BYTES 29976
#endif

/*
 The most classes that can be taught.
 */
#define V96_MOST_CLASSES 16

/*
 The most frames that teach a class.
 */
#define V96_MOST_FRAMES 64

/*
 The most bytes of a class's name, with the zero at its end.
 */
#define V96_NAME_BYTES 25

/*
 What stands for 1 in similarities and probabilities.
 */
#define V96_ONE 32768

/*
 The most features of a network whose answers teach classes.
 */
#define V96_MOST_FEATURES 128

/*
 Bytes that `V96_MOST_CLASSES` classes take when they are saved, at the most.
 */
#define V96_SAVED_BYTES 4548

#if defined(V96_32_BITS)
/*
 Bytes of memory for the classes.
 */
#define V96_CLASSES_BYTES 4636
#endif

#if defined(V96_64_BITS)
/*
 Bytes of memory for the classes.
 */
#define V96_CLASSES_BYTES 4776
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
  /*
   The features are not as many as the network gives, or more than `V96_MOST_FEATURES`.
   */
  V96_FEATURES = 30,
  /*
   A class's name is empty, does not fit `V96_NAME_BYTES`, or is not UTF-8.
   */
  V96_CLASS_NAME = 31,
  /*
   There are `V96_MOST_CLASSES` classes already.
   */
  V96_CLASSES_FULL = 32,
  /*
   The class was taught `V96_MOST_FRAMES` frames already.
   */
  V96_CLASS_FRAMES = 33,
  /*
   There is no class of that name.
   */
  V96_NO_SUCH_CLASS = 34,
  /*
   The file is shorter than the header of a file of classes.
   */
  V96_CLASSES_TOO_SHORT = 40,
  /*
   The file holds no classes.
   */
  V96_CLASSES_MAGIC = 41,
  /*
   The file is damaged or cut off, or something follows it: its checksum does not match.
   */
  V96_CLASSES_CHECKSUM = 42,
  /*
   The file is of an older or newer version than this library reads.
   */
  V96_CLASSES_VERSION = 43,
  /*
   The classes were taught with another model.
   */
  V96_CLASSES_OTHER_MODEL = 44,
  /*
   The file's contents contradict each other.
   */
  V96_CLASSES_INCONSISTENT = 45,
  /*
   The memory to save to is too small.
   */
  V96_CLASSES_SPACE = 46,
} v96_status;

/*
 A network with its model and line buffers, in memory of the caller's.
 */
typedef struct v96 v96;

/*
 Classes that are taught by a few frames each, in memory of the caller's.
 */
typedef struct v96_classes v96_classes;

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

/*
 One class and how similar a frame is to it.
 */
typedef struct v96_match {
  /*
   The class, counted from 0 in the order in which they were first taught.
   */
  size_t class_;
  /*
   The cosine × `V96_ONE`, from −`V96_ONE` to `V96_ONE`.
   */
  int32_t similarity;
  /*
   Its name in UTF-8, and a zero.
   */
  char name[V96_NAME_BYTES];
} v96_match;

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
 The encoder of the deep `edge` VAE: it gives the mean of the latent, from which classes are taught.
 */
extern const struct v96_network V96_EDGE_DEEP_ENCODER;

/*
 `V96_EDGE` in more memory and fewer cycles, with models whose weights are ordered for it
 (`vae96 export --target cortex-m4-winograd`).
 */
extern const struct v96_network V96_EDGE_WINOGRAD;

/*
 `V96_EDGE_DEEP_ENCODER` in more memory and fewer cycles, likewise.
 */
extern const struct v96_network V96_EDGE_DEEP_ENCODER_WINOGRAD;

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

/*
 Prepares `memory`, of `size` bytes, for classes that the answers of an encoder teach. There are
 none yet; `v96_load_classes` brings some, and says when a frame is of none of them. There is
 nothing to close.

 # Safety
 `network` is what `v96_open` gave; `memory` points to `size` bytes that are nobody else's as long
 as the classes are used; `made` points to a pointer. Each may be NULL.
 */
enum v96_status v96_make_classes(const struct v96 *network,
                                 uint8_t *memory,
                                 size_t size,
                                 struct v96_classes **made);

/*
 Adds a frame to the class of that name, which is added where there is none: `features` is what an
 encoder gave of the frame.

 # Safety
 `classes` is what `v96_make_classes` gave, and nobody else uses it meanwhile; `name` is a string
 that ends with a zero; `features` is the network's latest answer, and no row was pushed since.
 Each may be NULL.
 */
enum v96_status v96_teach(struct v96_classes *classes,
                          const char *name,
                          const struct v96_answer *features);

/*
 Forgets the class of that name; those after it move up by one.

 # Safety
 `classes` is what `v96_make_classes` gave, and nobody else uses it meanwhile; `name` is a string
 that ends with a zero. Each may be NULL.
 */
enum v96_status v96_forget(struct v96_classes *classes, const char *name);

/*
 Compares a frame with the classes: writes the most similar ones to `matches`, which has room for
 `room` of them, the best first and of equal ones the lower class, how many they are to `found`,
 and to `none` the probability × `V96_ONE` that the frame is of none of the classes, or −1 where
 that was never calibrated.

 # Safety
 `classes` is what `v96_make_classes` gave; `features` is the network's latest answer, and no row
 was pushed since; the others may be written to. Each may be NULL.
 */
enum v96_status v96_compare(const struct v96_classes *classes,
                            const struct v96_answer *features,
                            struct v96_match *matches,
                            size_t room,
                            size_t *found,
                            int32_t *none);

/*
 Writes the classes to `file`, of `size` bytes, and to `length` how many bytes were written:
 `V96_SAVED_BYTES` at the most.

 # Safety
 `classes` is what `v96_make_classes` gave; `file` points to `size` bytes, which like `length` may
 be written to. Each may be NULL.
 */
enum v96_status v96_save_classes(const struct v96_classes *classes,
                                 uint8_t *file,
                                 size_t size,
                                 size_t *length);

/*
 Takes the classes of a file of `length` bytes, and its calibration, in the place of those there
 are. Where that fails, they stay. The file is not needed afterwards.

 # Safety
 `classes` is what `v96_make_classes` gave, and nobody else uses it meanwhile; `file` points to
 `length` bytes. Each may be NULL.
 */
enum v96_status v96_load_classes(struct v96_classes *classes, const uint8_t *file, size_t length);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus
