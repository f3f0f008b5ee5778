/*
 * Teaches four classes by the first twelve of some raw 96×96 RGB images, one after another, and
 * compares the others with them, on a computer and on a Cortex-M alike:
 *
 *     teach IMAGES ANSWERS
 *
 * writes the classes as they are saved to the file ANSWERS; then of each other image the similarity
 * to each class, and the probability that it is of none, as 32-bit integers.
 */
#include <stdio.h>

#include "../v96.h"
#include "model.h"

#define CLASSES 4
#define FRAMES 3

static const char *const names[CLASSES] = {"one", "two", "three", "four"};

static _Alignas(V96_MEMORY_ALIGNMENT) uint8_t eyes[V96_EDGE_DEEP_ENCODER_BYTES];
static _Alignas(V96_MEMORY_ALIGNMENT) uint8_t memory[V96_CLASSES_BYTES];
static uint8_t file[V96_SAVED_BYTES];

static int fail(const char *what, int status)
{
    printf("%s: %d\n", what, status);
    return 1;
}

/* Whether there is another image; its features, or what is wrong. */
static int look(v96 *network, FILE *images, v96_answer *features, v96_status *status)
{
    uint8_t row[V96_ROW_BYTES];
    *status = V96_OK;
    for (size_t y = 0; y < V96_SIDE; y++) {
        if (fread(row, 1, sizeof row, images) != sizeof row) {
            if (y > 0)
                *status = V96_TOO_FEW_ROWS;
            return 0;
        }
        *status = v96_push_row(network, row, sizeof row);
        if (*status != V96_OK)
            return 0;
    }
    *status = v96_finish(network, features);
    return *status == V96_OK;
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return fail("usage: teach IMAGES ANSWERS", argc);
    FILE *images = fopen(argv[1], "rb");
    FILE *answers = fopen(argv[2], "wb");
    if (!images || !answers)
        return fail("cannot open a file", 0);

    v96 *network;
    v96_classes *classes;
    v96_status status =
        v96_open(&V96_EDGE_DEEP_ENCODER, model, model_length, eyes, sizeof eyes, &network);
    if (status != V96_OK)
        return fail("v96_open", status);
    status = v96_make_classes(network, memory, sizeof memory, &classes);
    if (status != V96_OK)
        return fail("v96_make_classes", status);
    /* No classes yet, and when an image is of none of them. */
    status = v96_load_classes(classes, calibrated, calibrated_length);
    if (status != V96_OK)
        return fail("v96_load_classes", status);

    v96_answer features;
    for (unsigned i = 0; i < CLASSES * FRAMES && look(network, images, &features, &status); i++) {
        status = v96_teach(classes, names[i % CLASSES], &features);
        if (status != V96_OK)
            return fail("v96_teach", status);
    }
    size_t length;
    status = v96_save_classes(classes, file, sizeof file, &length);
    if (status != V96_OK)
        return fail("v96_save_classes", status);
    if (fwrite(file, 1, length, answers) != length)
        return fail("cannot write", 0);

    unsigned count = 0;
    while (look(network, images, &features, &status)) {
        v96_match matches[CLASSES];
        size_t found;
        int32_t said[CLASSES + 1] = {0};
        status = v96_compare(classes, &features, matches, CLASSES, &found, &said[CLASSES]);
        if (status != V96_OK)
            return fail("v96_compare", status);
        for (size_t i = 0; i < found; i++)
            said[matches[i].class_] = matches[i].similarity;
        if (fwrite(said, 1, sizeof said, answers) != sizeof said)
            return fail("cannot write", 0);
        count++;
    }
    if (status != V96_OK)
        return fail("an image", status);
    if (fclose(answers))
        return fail("cannot write", 0);
    printf("%u images compared with %u classes of %u bytes\n", count, CLASSES, (unsigned)length);
    return 0;
}
