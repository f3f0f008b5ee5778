/* Wrong input gets a code that says what is wrong. */
#include <stdio.h>
#include <string.h>

#include "../v96.h"
#include "model.h"

static _Alignas(V96_MEMORY_ALIGNMENT) uint8_t memory[V96_EDGE_BYTES + V96_MEMORY_ALIGNMENT];
static _Alignas(V96_MEMORY_ALIGNMENT) uint8_t dense[V96_EDGE_DENSE_BYTES];
static _Alignas(V96_MODEL_ALIGNMENT) uint8_t copy[1 << 17];

static _Alignas(V96_MEMORY_ALIGNMENT) uint8_t taught[V96_CLASSES_BYTES + V96_MEMORY_ALIGNMENT];

static unsigned right, wrong;

static void expect(v96_status expected, v96_status found, const char *what)
{
    if (expected == found) {
        right++;
    } else {
        wrong++;
        printf("%s: %d, not %d\n", what, (int)found, (int)expected);
    }
}

static v96_status open_model(const uint8_t *file, size_t length)
{
    v96 *network;
    return v96_open(&V96_EDGE, file, length, memory, V96_EDGE_BYTES, &network);
}

static void models(void)
{
    v96 *network;
    expect(V96_OK, open_model(model, model_length), "the model itself");
    expect(V96_NULL, open_model(NULL, model_length), "no model");
    expect(V96_NULL, v96_open(NULL, model, model_length, memory, V96_EDGE_BYTES, &network),
           "no network");
    expect(V96_NULL, v96_open(&V96_EDGE, model, model_length, NULL, V96_EDGE_BYTES, &network),
           "no memory");
    expect(V96_NULL, v96_open(&V96_EDGE, model, model_length, memory, V96_EDGE_BYTES, NULL),
           "no place for the handle");
    expect(V96_MEMORY_TOO_SMALL,
           v96_open(&V96_EDGE, model, model_length, memory, V96_EDGE_BYTES - 1, &network),
           "a byte of memory less");
    expect(V96_MEMORY_MISALIGNED,
           v96_open(&V96_EDGE, model, model_length, memory + 4, V96_EDGE_BYTES, &network),
           "misaligned memory");
    expect(V96_MODEL_OTHER_NETWORK,
           v96_open(&V96_EDGE_DENSE, model, model_length, dense, sizeof dense, &network),
           "another network");
    expect(V96_MODEL_TOO_SHORT, open_model(model, 63), "half a header");
    expect(V96_MODEL_LENGTH, open_model(model, model_length - 1), "a model cut off");

    memcpy(copy, model, model_length);
    expect(V96_MODEL_LENGTH, open_model(copy, model_length + 1), "a byte more");
    copy[model_length - 1] ^= 1;
    expect(V96_MODEL_CHECKSUM, open_model(copy, model_length), "a damaged model");
    copy[0] ^= 1;
    expect(V96_MODEL_MAGIC, open_model(copy, model_length), "another file");
    memcpy(copy + 4, model, model_length);
    expect(V96_MODEL_MISALIGNED, open_model(copy + 4, model_length), "a misaligned model");
}

static void rows(void)
{
    static const uint8_t row[V96_ROW_BYTES + 1];
    v96 *network;
    v96_answer answer;
    v96_score best;
    expect(V96_OK, v96_open(&V96_EDGE, model, model_length, memory, V96_EDGE_BYTES, &network),
           "the model itself");
    expect(V96_NULL, v96_push_row(NULL, row, V96_ROW_BYTES), "no network");
    expect(V96_NULL, v96_push_row(network, NULL, V96_ROW_BYTES), "no row");
    expect(V96_NULL, v96_finish(network, NULL), "no place for the answer");
    expect(V96_NULL, v96_restart(NULL), "nothing to restart");
    expect(V96_ROW_LENGTH, v96_push_row(network, row, V96_ROW_BYTES - 1), "a short row");
    expect(V96_ROW_LENGTH, v96_push_row(network, row, V96_ROW_BYTES + 1), "a long row");
    expect(V96_TOO_FEW_ROWS, v96_finish(network, &answer), "no rows");
    for (int y = 0; y < V96_SIDE - 1; y++)
        expect(V96_OK, v96_push_row(network, row, V96_ROW_BYTES), "a row");
    expect(V96_TOO_FEW_ROWS, v96_finish(network, &answer), "a row too few");
    expect(V96_OK, v96_push_row(network, row, V96_ROW_BYTES), "a row");
    expect(V96_OK, v96_restart(network), "a new image");
    for (int y = 0; y < V96_SIDE; y++)
        expect(V96_OK, v96_push_row(network, row, V96_ROW_BYTES), "a row");
    expect(V96_TOO_MANY_ROWS, v96_push_row(network, row, V96_ROW_BYTES), "a row too many");
    expect(V96_OK, v96_finish(network, &answer), "an answer all the same");
    expect(V96_NULL, v96_best(network, &answer, NULL), "no place for the score");
    expect(V96_OK, v96_best(network, &answer, &best), "the best class");
}

static void classes(void)
{
    static const uint8_t row[V96_ROW_BYTES];
    static uint8_t file[V96_SAVED_BYTES];
    v96 *network;
    v96_answer answer;
    v96_classes *made;
    v96_match match;
    size_t length, found;
    int32_t none;
    expect(V96_OK, open_model(model, model_length), "the model itself");
    network = (v96 *)memory;
    for (int y = 0; y < V96_SIDE; y++)
        expect(V96_OK, v96_push_row(network, row, V96_ROW_BYTES), "a row");
    expect(V96_OK, v96_finish(network, &answer), "an answer");

    expect(V96_NULL, v96_make_classes(NULL, taught, V96_CLASSES_BYTES, &made), "no network");
    expect(V96_NULL, v96_make_classes(network, NULL, V96_CLASSES_BYTES, &made), "no memory");
    expect(V96_MEMORY_TOO_SMALL, v96_make_classes(network, taught, V96_CLASSES_BYTES - 1, &made),
           "a byte of memory less");
    expect(V96_MEMORY_MISALIGNED,
           v96_make_classes(network, taught + 4, V96_CLASSES_BYTES, &made), "misaligned memory");
    expect(V96_OK, v96_make_classes(network, taught, V96_CLASSES_BYTES, &made), "classes");
    expect(V96_OK, v96_compare(made, &answer, &match, 1, &found, &none), "no classes yet");
    expect(V96_OK, found == 0 && none == -1 ? V96_OK : V96_NULL, "nothing found");

    expect(V96_NULL, v96_teach(made, NULL, &answer), "no name");
    expect(V96_CLASS_NAME, v96_teach(made, "", &answer), "an empty name");
    expect(V96_CLASS_NAME, v96_teach(made, "a name of 25 bytes, or so", &answer), "a long name");
    expect(V96_CLASS_NAME, v96_teach(made, "\xff", &answer), "a name that is not UTF-8");
    answer.count--;
    expect(V96_FEATURES, v96_teach(made, "a", &answer), "a feature less");
    answer.count++;
    for (int frame = 0; frame < V96_MOST_FRAMES; frame++)
        expect(V96_OK, v96_teach(made, "a", &answer), "a frame");
    expect(V96_CLASS_FRAMES, v96_teach(made, "a", &answer), "a frame too many");
    for (char name[] = "b"; name[0] < 'a' + V96_MOST_CLASSES; name[0]++)
        expect(V96_OK, v96_teach(made, name, &answer), "a class");
    expect(V96_CLASSES_FULL, v96_teach(made, "z", &answer), "a class too many");
    expect(V96_NO_SUCH_CLASS, v96_forget(made, "z"), "no such class");
    expect(V96_OK, v96_forget(made, "b"), "a class to forget");
    expect(V96_OK, v96_compare(made, &answer, &match, 1, &found, &none), "a comparison");
    expect(V96_OK, found == 1 && !strcmp(match.name, "a") ? V96_OK : V96_NULL, "a match");

    expect(V96_CLASSES_SPACE, v96_save_classes(made, file, 100, &length), "a small place");
    expect(V96_OK, v96_save_classes(made, file, sizeof file, &length), "a place");
    expect(V96_OK, v96_load_classes(made, file, length), "the file itself");
    expect(V96_CLASSES_TOO_SHORT, v96_load_classes(made, file, 35), "half a header");
    expect(V96_CLASSES_CHECKSUM, v96_load_classes(made, file, length - 1), "a file cut off");
    file[0] ^= 1;
    expect(V96_CLASSES_MAGIC, v96_load_classes(made, file, length), "another file");
}

int main(void)
{
    models();
    rows();
    classes();
    printf("refusals: %u right, %u wrong\n", right, wrong);
    return wrong != 0;
}
