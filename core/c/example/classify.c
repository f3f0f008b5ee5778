/*
 * Classifies raw 96×96 RGB images row by row, on a computer and on a Cortex-M alike:
 *
 *     classify IMAGES ANSWERS
 *
 * writes the 8-bit logits of each image of the file IMAGES to the file ANSWERS.
 */
#include <stdio.h>

#include "../v96.h"
#include "model.h"

static _Alignas(V96_MEMORY_ALIGNMENT) uint8_t memory[V96_EDGE_BYTES];

static int fail(const char *what, int status)
{
    printf("%s: %d\n", what, status);
    return 1;
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return fail("usage: classify IMAGES ANSWERS", argc);
    FILE *images = fopen(argv[1], "rb");
    FILE *answers = fopen(argv[2], "wb");
    if (!images || !answers)
        return fail("cannot open a file", 0);

    v96 *network;
    v96_status status = v96_open(&V96_EDGE, model, model_length, memory, sizeof memory, &network);
    if (status != V96_OK)
        return fail("v96_open", status);

    uint8_t row[V96_ROW_BYTES];
    v96_answer answer;
    v96_score best;
    unsigned count = 0;
    while (fread(row, 1, sizeof row, images) == sizeof row) {
        for (size_t y = 0;;) {
            status = v96_push_row(network, row, sizeof row);
            if (status != V96_OK)
                return fail("v96_push_row", status);
            if (++y == V96_SIDE || fread(row, 1, sizeof row, images) != sizeof row)
                break;
        }
        status = v96_finish(network, &answer);
        if (status != V96_OK)
            return fail("v96_finish", status);
        status = v96_best(network, &answer, &best);
        if (status != V96_OK)
            return fail("v96_best", status);
        if (fwrite(answer.values, 1, answer.count, answers) != answer.count)
            return fail("cannot write", 0);
        count++;
    }
    if (fclose(answers))
        return fail("cannot write", 0);
    printf("%u images, the last one of class %u, score %u/1000\n", count, (unsigned)best.class_,
           (unsigned)(best.probability * 1000 + 0.5f));
    return 0;
}
