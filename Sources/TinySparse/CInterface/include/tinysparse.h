/* TinySparse for C: small language models on the CPU. See docs/EMBEDDING.md.
 *
 * Errors. Functions that can fail return a status; whoever wants to know more gives a buffer, which then
 * holds a message for people (cut to the buffer, always ended by a zero). Nothing here throws or exits.
 *
 * Handles. NULL, a handle of another kind (a session in the place of a model), and NULL with a size are
 * TINYSPARSE_BAD_OPTION; functions without a status then return 0 or NULL and do nothing. Undefined are a handle
 * that was closed, a pointer that no function here returned, and a size larger than what a pointer points to.
 *
 * Threads. A model may be used by any number of threads at once. A session, or a batch, belongs to one thread at a
 * time; those of one model may run beside each other. A model may be closed while its sessions and batches are open;
 * its memory is given back with the last of them. No function may be called from a signal handler.
 *
 * Text is UTF-8 with a length in bytes and needs no zero at its end; what is not UTF-8 is repaired. */
#ifndef TINYSPARSE_H
#define TINYSPARSE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tinysparse_model tinysparse_model;
typedef struct tinysparse_session tinysparse_session;
typedef struct tinysparse_text tinysparse_text;
typedef struct tinysparse_batch tinysparse_batch;

typedef enum {
    TINYSPARSE_OK = 0,
    TINYSPARSE_BAD_FILE = 1,     /* the file is not there, damaged, or none that can be used here */
    TINYSPARSE_BAD_OPTION = 2,   /* an option or argument is invalid */
    TINYSPARSE_CONTEXT_FULL = 3, /* more tokens than the session holds; nothing was read */
    TINYSPARSE_NO_MEMORY = 4,
    TINYSPARSE_BROKEN_MODEL = 5, /* the logits are not finite; nothing was read */
    TINYSPARSE_OTHER = 6,
    TINYSPARSE_STOPPED = 7       /* tinysparse_session_while ended it: some blocks were read */
} tinysparse_status;

/* Why a text ended. */
typedef enum {
    TINYSPARSE_END_OF_TEXT = 0,
    TINYSPARSE_MAX_TOKENS = 1,
    TINYSPARSE_STOP_STRING = 2,
    TINYSPARSE_END_OF_CONTEXT = 3,
    TINYSPARSE_CANCELLED = 4,
    TINYSPARSE_FAILED = 5,    /* of a batch: tinysparse_batch_step returns the status */
    TINYSPARSE_GOES_ON = -1   /* of a batch, and of tinysparse_text_next: the text has not ended */
} tinysparse_reason;

/* Opens a model: a native file, a .gguf file or a Hugging Face folder (the last two are converted in
 * memory, which takes longer). NULL on failure; `status` and `message` may be NULL. */
tinysparse_model *tinysparse_model_open(const char *path, int *status, char *message, size_t message_size);

/* Opens a model in memory, for instance one that is part of the program. A native model on a 64-byte
 * boundary is used where it lies and has to stay there, unchanged, until the model and its sessions are
 * closed; anything else is copied. */
tinysparse_model *tinysparse_model_from_memory(
    const void *bytes, size_t size, int *status, char *message, size_t message_size);

void tinysparse_model_close(tinysparse_model *model);

int32_t tinysparse_vocabulary_size(const tinysparse_model *model);
int32_t tinysparse_context_length(const tinysparse_model *model);

/* The tokens of a text, after the beginning-of-text token if `add_special` is not 0 and the model has one.
 * Returns how many there are, and writes as many of them as fit. */
size_t tinysparse_tokenize(
    const tinysparse_model *model, const char *text, size_t size, int add_special, int32_t *tokens, size_t capacity);

/* The text of tokens. Returns how many bytes it has, and writes as many as fit. Unknown tokens have none. */
size_t tinysparse_detokenize(
    const tinysparse_model *model, const int32_t *tokens, size_t count, char *text, size_t capacity);

/* Whether a token ends a text. */
int tinysparse_is_end(const tinysparse_model *model, int32_t token);

/* Begins a text. `options` is a JSON object or NULL: {"threads": 2, "context": 512, "kernels": "avx2",
 * "block_size": 128, "sparsity": "off" or "predicted", "lm_head_screen": true or false, "cache": "half" or "int8",
 * "memory_limit": BYTES, "speculate": "off", "lookup" or "self"}. With "speculate", tinysparse_generate evaluates drafts of
 * coming tokens where that is faster; the text is the same. */
tinysparse_session *tinysparse_session_open(
    const tinysparse_model *model, const char *options, int *status, char *message, size_t message_size);

void tinysparse_session_close(tinysparse_session *session);

/* Called by tinysparse_read and tinysparse_generate before every block of "block_size" tokens and every token generated;
 * returning 0 ends the work there: tinysparse_read returns TINYSPARSE_STOPPED, and a text ends as TINYSPARSE_CANCELLED. What
 * was read before stays read. NULL: nobody is asked. */
typedef int (*tinysparse_condition)(void *context);
void tinysparse_session_while(tinysparse_session *session, tinysparse_condition condition, void *context);

/* Reads tokens after those read so far, as sparsely as the session's options say. (The prompt of
 * tinysparse_generate is read dense.) */
int tinysparse_read(
    tinysparse_session *session, const int32_t *tokens, size_t count, char *message, size_t message_size);

/* One number for every token of the vocabulary: what the model expects after the last token read. Valid
 * until the session reads again or is closed. */
const float *tinysparse_logits(const tinysparse_session *session);

/* How many tokens were read. */
size_t tinysparse_position(const tinysparse_session *session);

/* Forgets all but the first `count` tokens. */
void tinysparse_rewind(tinysparse_session *session, size_t count);

/* Writes what the session has read to a file, so that it need not be read again. With "sparsity", what follows the first token
 * that was not of a prompt is left out. An existing file is replaced; if anything fails, it stays as it was. */
int tinysparse_save(const tinysparse_session *session, const char *path, char *message, size_t message_size);

/* Forgets everything and takes over what the file has read: the tokens with which both it and `tokens` begin, but never the
 * last of `tokens`; with NULL and 0, all that the file has. tinysparse_position says how many those are; the rest is to be
 * read, and then everything is as if all had been. The file has to be of the same model, type of cache and numeric contract:
 * TINYSPARSE_BAD_FILE says what it is not. After a failure the session may have forgotten what it had read. */
int tinysparse_restore(
    tinysparse_session *session, const char *path, const int32_t *tokens, size_t count, char *message,
    size_t message_size);

/* Called with each piece of a text, whole characters without a zero at the end; returning 0 ends the text. */
typedef int (*tinysparse_callback)(const char *piece, size_t size, void *context);

/* Prefills a prompt and generates after it. `options` is a JSON object or NULL: {"max_tokens": 256, "temperature": 0.7,
 * "top_k": 40, "top_p": 0.95, "min_p": 0.05, "repeat_penalty": 1, "seed": 0, "stop": ["\n"],
 * "ignore_eos": false, "context_shift": false}. The same seed gives the same text on every machine. With "context_shift", a full context
 * keeps its beginning-of-text token and the newer half of the rest. `reason` may be NULL.
 *
 * One of "json_schema" (an object, or a string of JSON), "regex", "grammar" (GBNF) and OpenAI's "response_format" says what
 * the text has to be: docs/CONSTRAINTS.md.
 *
 * Instead of a prompt, whose size is then 0, the options can hold a conversation: {"messages": [{"role": "user", "content":
 * "Hi"}], "tools": [...], "documents": [...], "add_generation_prompt": true, "template_args": {"enable_thinking": false},
 * "chat_template": "..."}. The model's chat template, or the Jinja source given, makes the prompt of it; what the session has
 * read is kept as far as the prompt begins with it. */
int tinysparse_generate(
    tinysparse_session *session, const char *prompt, size_t size, const char *options,
    tinysparse_callback callback, void *context, int *reason, char *message, size_t message_size);

/* A text whose pieces the caller fetches: what tinysparse_generate does, one step at a time. The prompt is read here. The text
 * keeps its session, and belongs to the same thread; between two pieces the caller can do something else, or end it by
 * tinysparse_text_close. NULL on failure. */
tinysparse_text *tinysparse_text_open(
    tinysparse_session *session, const char *prompt, size_t size, const char *options, int *status, char *message,
    size_t message_size);

void tinysparse_text_close(tinysparse_text *text);

/* The next piece of a text: `size` bytes of whole characters, possibly none, without a zero at the end, which last until the next
 * call. `reason` is TINYSPARSE_GOES_ON, or why the text has ended. If its session has read or forgotten anything else since, the
 * text cannot go on: TINYSPARSE_BAD_OPTION. */
int tinysparse_text_next(
    tinysparse_text *text, const char **piece, size_t *size, int *reason, char *message, size_t message_size);

/* Several texts at a time: the weights are read once for all of them. Each text is the one that it is alone, whatever its
 * company. `options` is a JSON object or NULL: as for a session, whose context is that of each text, and {"places": 8}, how
 * many texts are at work at a time, 1 to 256; others wait. {"cached_tokens": N}: most tokens that are kept of all texts
 * together, those that several begin with once, and of ended ones for texts that begin alike; at least a context. 0, the
 * default, stands for the contexts of all places. A text waits until all the tokens that it may come to fit. */
tinysparse_batch *tinysparse_batch_open(
    const tinysparse_model *model, const char *options, int *status, char *message, size_t message_size);

void tinysparse_batch_close(tinysparse_batch *batch);

/* Adds a text, at any time: a prompt or messages, and options, all as in tinysparse_generate. `id` gets what tells it from the
 * others: 0, 1, 2, ... Prompts that begin alike share what was read of them. */
int tinysparse_batch_add(
    tinysparse_batch *batch, const char *prompt, size_t size, const char *options, int64_t *id, char *message,
    size_t message_size);

/* Ends a text, whether it waits, its prompt is being read or it is being written; the next step says so. A text that has ended,
 * or never was, is no error. */
void tinysparse_batch_cancel(tinysparse_batch *batch, int64_t id);

/* Called with what a step made of a text: whole characters, possibly none, without a zero at the end. `reason` is
 * TINYSPARSE_GOES_ON, or why the text has ended; it is the last call for this text then. Returning 0 cancels the text. The
 * callback may add and cancel texts; it must not step or close the batch. */
typedef int (*tinysparse_batch_callback)(int64_t id, const char *piece, size_t size, int reason, void *context);

/* Generates the next token of every text whose prompt has been read, and reads one block at most of the others' prompts: so a
 * caller who cancels or stops between two steps waits for no more than that. Returns the status of a text that failed, which is
 * the last of that text; the others are not touched by it, and the batch goes on. */
int tinysparse_batch_step(
    tinysparse_batch *batch, tinysparse_batch_callback callback, void *context, char *message, size_t message_size);

/* Whether every text has ended. */
int tinysparse_batch_is_idle(const tinysparse_batch *batch);

/* Whether a text that is added now begins with the next step. */
int tinysparse_batch_has_place(const tinysparse_batch *batch);

#ifdef __cplusplus
}
#endif
#endif
