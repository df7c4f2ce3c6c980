/* A program with its model inside. usage: embedded PROMPT */
#include "tinysparse.h"
#include <stdio.h>
#include <string.h>

/* The model, on a 64-byte boundary so that it is used where it lies: in the read-only data of the program,
 * of which the system loads what is touched. MODEL_FILE is given to the compiler. */
__asm__(
    ".section .rodata\n.balign 64\n"
    "model_bytes:\n.incbin \"" MODEL_FILE "\"\n"
    "model_end:\n.previous\n");
extern const unsigned char model_bytes[], model_end[];

static int print(const char *piece, size_t size, void *context) {
    (void)context;
    fwrite(piece, 1, size, stdout);
    fflush(stdout);
    return 1;
}

int main(int argc, char **argv) {
    char message[256];
    const char *prompt = argc > 1 ? argv[1] : "Once upon a time";
    tinysparse_model *model = tinysparse_model_from_memory(
        model_bytes, (size_t)(model_end - model_bytes), NULL, message, sizeof message);
    tinysparse_session *session = model ? tinysparse_session_open(model, NULL, NULL, message, sizeof message) : NULL;
    if (!session ||
        tinysparse_generate(
            session, prompt, strlen(prompt), "{\"max_tokens\": 16, \"temperature\": 0}", print, NULL, NULL,
            message, sizeof message) != TINYSPARSE_OK) {
        fprintf(stderr, "%s\n", message);
        return 1;
    }
    printf("\n");
    tinysparse_session_close(session);
    tinysparse_model_close(model);
    return 0;
}
