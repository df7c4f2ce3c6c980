/* Every function of tinysparse.h once. usage: interface MODEL PROMPT [FILE], a file that may be written */
#include "tinysparse.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char message[256];

static void check(int ok, const char *what) {
    if (ok) return;
    fprintf(stderr, "%s failed: %s\n", what, message);
    exit(1);
}

/* Prints a piece; stops after `*left` pieces. */
static int print(const char *piece, size_t size, void *left) {
    fwrite(piece, 1, size, stdout);
    return --*(int *)left > 0;
}

/* Whether an interrupt came, or a window was closed: here, after some blocks and tokens. */
static int has_time(void *left) { return --*(int *)left >= 0; }

/* What came of the texts of a batch. */
struct texts {
    char text[3][256];
    int reason[3];
};

/* Keeps a piece of a text. */
static int keep(int64_t id, const char *piece, size_t size, int reason, void *context) {
    struct texts *texts = context;
    size_t length = strlen(texts->text[id]);
    if (length + size < sizeof texts->text[id]) memcpy(texts->text[id] + length, piece, size);
    texts->reason[id] = reason;
    return 1;
}

/* Texts that come and go. */
static void batch(const tinysparse_model *model, const char *prompt) {
    int status;
    check(!tinysparse_batch_open(model, "{\"places\": 0}", &status, message, sizeof message), "no places");
    tinysparse_batch *batch =
        tinysparse_batch_open(model, "{\"threads\": 2, \"context\": 64, \"places\": 2}", &status, message, sizeof message);
    check(batch && tinysparse_batch_is_idle(batch) && tinysparse_batch_has_place(batch), "a batch");
    struct texts texts = {{{0}}, {0}};
    const char *options[] = {"{\"max_tokens\": 5, \"temperature\": 0}", "{\"temperature\": 0}", "{\"max_tokens\": 2}"};
    for (int i = 0; i < 3; i++) {
        int64_t id;
        check(!tinysparse_batch_add(batch, prompt, strlen(prompt), options[i], &id, message, sizeof message), "adding");
        check(id == i, "the ids");
        check(!tinysparse_batch_step(batch, keep, &texts, message, sizeof message), "a step");
    }
    tinysparse_batch_cancel(batch, 1);
    while (!tinysparse_batch_is_idle(batch))
        check(!tinysparse_batch_step(batch, keep, &texts, message, sizeof message), "a step");
    check(texts.reason[1] == TINYSPARSE_CANCELLED || texts.reason[1] == TINYSPARSE_END_OF_TEXT, "cancelling");
    check(texts.reason[2] == TINYSPARSE_MAX_TOKENS || texts.reason[2] == TINYSPARSE_END_OF_TEXT, "the one that waited");
    printf("batch: %s\nreason: %d\n", texts.text[0], texts.reason[0]);
    tinysparse_batch_close(batch);
}

int main(int argc, char **argv) {
    check(argc == 3 || argc == 4, "usage");
    int status, reason = -1, many = 1000, few = 3;

    /* What goes wrong comes back as a code and a message. */
    check(!tinysparse_model_open("/no/such/model", &status, message, sizeof message), "a model that is not there");
    check(status == TINYSPARSE_BAD_FILE && strstr(message, "/no/such/model"), "the message");
    check(!tinysparse_model_from_memory("no model", 8, NULL, NULL, 0), "bytes that are no model");

    tinysparse_model *model = tinysparse_model_open(argv[1], &status, message, sizeof message);
    check(model && status == TINYSPARSE_OK, "opening");
    check(!tinysparse_session_open(model, "{\"threats\": 2}", &status, message, sizeof message), "a slip");
    check(status == TINYSPARSE_BAD_OPTION && strstr(message, "threats"), "its message");
    tinysparse_session *session =
        tinysparse_session_open(model, "{\"threads\": 2, \"context\": 64}", &status, message, sizeof message);
    check(session != NULL, "a session");
    /* The session keeps the model. Here it is used until the end, so it is closed there, too. */

    int32_t tokens[64];
    char text[256];
    size_t count = tinysparse_tokenize(model, argv[2], strlen(argv[2]), 1, tokens, 64);
    check(count > 0 && count <= 64, "tokens");
    check(tinysparse_tokenize(model, argv[2], strlen(argv[2]), 1, NULL, 0) == count, "the number of tokens");
    size_t size = tinysparse_detokenize(model, tokens, count, text, sizeof text);
    check(size == strlen(argv[2]) && !memcmp(text, argv[2], size), "the text of the tokens");

    /* A greedy text by hand. */
    printf("read:");
    check(tinysparse_read(session, tokens, count, message, sizeof message) == TINYSPARSE_OK, "reading");
    for (int i = 0; i < 5; i++) {
        const float *logits = tinysparse_logits(session);
        int32_t best = 0;
        for (int32_t t = 1; t < tinysparse_vocabulary_size(model); t++)
            if (logits[t] > logits[best]) best = t;
        printf(" %d", best);
        if (tinysparse_is_end(model, best)) break;
        check(tinysparse_read(session, &best, 1, message, sizeof message) == TINYSPARSE_OK, "reading on");
    }
    printf("\n");
    check(tinysparse_position(session) >= count, "the position");
    int32_t wrong = tinysparse_vocabulary_size(model);
    check(tinysparse_read(session, &wrong, 1, message, sizeof message) == TINYSPARSE_BAD_OPTION, "no such token");
    for (int i = 0; i < 64; i++) tokens[i] = 1;
    check(tinysparse_read(session, tokens, 64, message, sizeof message) == TINYSPARSE_CONTEXT_FULL, "too much");

    /* The same by callback. */
    tinysparse_rewind(session, 0);
    status = tinysparse_generate(
        session, argv[2], strlen(argv[2]), "{\"max_tokens\": 5, \"temperature\": 0}", print, &many, &reason,
        message, sizeof message);
    check(status == TINYSPARSE_OK, "generating");
    printf("\nreason: %d\n", reason);
    tinysparse_rewind(session, 0);
    status = tinysparse_generate(
        session, argv[2], strlen(argv[2]), "{\"temperature\": 0}", print, &few, &reason, message, sizeof message);
    check(status == TINYSPARSE_OK && (reason == TINYSPARSE_CANCELLED || reason == TINYSPARSE_END_OF_TEXT), "stopping");
    printf("\n");

    /* The same, fetched piece by piece. */
    tinysparse_rewind(session, 0);
    check(!tinysparse_text_open(session, "", 0, "{\"seed\": -1}", &status, message, sizeof message), "no such seed");
    tinysparse_text *fetched = tinysparse_text_open(
        session, argv[2], strlen(argv[2]), "{\"max_tokens\": 5, \"temperature\": 0}", &status, message, sizeof message);
    check(fetched != NULL, "a text");
    printf("fetched: ");
    do {
        const char *piece;
        check(!tinysparse_text_next(fetched, &piece, &size, &reason, message, sizeof message), "a piece");
        fwrite(piece, 1, size, stdout);
    } while (reason == TINYSPARSE_GOES_ON);
    printf("\nreason: %d\n", reason);
    tinysparse_text_close(fetched);
    fetched = tinysparse_text_open(session, argv[2], strlen(argv[2]), NULL, &status, message, sizeof message);
    check(fetched != NULL, "another text");
    tinysparse_rewind(session, 0);
    status = tinysparse_text_next(fetched, NULL, NULL, &reason, message, sizeof message);
    check(status == TINYSPARSE_BAD_OPTION, "a text whose session forgot it");
    tinysparse_text_close(fetched);

    /* What was read of a text is kept in a file, and need not be read again. */
    if (argc == 4) {
        tinysparse_rewind(session, 0);
        count = tinysparse_tokenize(model, argv[2], strlen(argv[2]), 1, tokens, 64);
        check(!tinysparse_read(session, tokens, count, message, sizeof message), "reading");
        check(!tinysparse_save(session, argv[3], message, sizeof message), "saving");
        check(!tinysparse_restore(session, argv[3], tokens, count, message, sizeof message), "restoring");
        check(tinysparse_position(session) == count - 1, "all but the last token");
    }

    /* Work that a program ends when it likes. */
    int time = 3;
    tinysparse_rewind(session, 0);
    tinysparse_session_while(session, has_time, &time);
    status = tinysparse_generate(
        session, argv[2], strlen(argv[2]), "{\"temperature\": 0}", NULL, NULL, &reason, message, sizeof message);
    check(status == TINYSPARSE_OK && (reason == TINYSPARSE_CANCELLED || reason == TINYSPARSE_END_OF_TEXT), "no time");
    check(tinysparse_read(session, tokens, 1, message, sizeof message) == TINYSPARSE_STOPPED, "no time to read");
    tinysparse_session_while(session, NULL, NULL);

    batch(model, argv[2]);

    tinysparse_model_close(model);
    check(tinysparse_position(session) > 0, "a session after its model was closed");
    tinysparse_session_close(session);
    tinysparse_session_close(NULL);
    tinysparse_model_close(NULL);
    return 0;
}
