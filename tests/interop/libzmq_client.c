/* A client of the guard on the system's libzmq. Usage: libzmq_client ENDPOINT. Prints "ok". */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#define CHECK(condition) \
    do { \
        if (!(condition)) { \
            fprintf(stderr, "line %d: %s (%s)\n", __LINE__, #condition, zmq_strerror(zmq_errno())); \
            exit(1); \
        } \
    } while (0)

static const char PING_JSON[] = "{\"type\":\"ping\"}";
static const char PING_MSGPACK[] = "\x81\xa4type\xa4ping";
static char large[4 * 1024 * 1024];
static char reply[8 * 1024 * 1024];

static void *open_socket(void *context, int kind, const char *endpoint) {
    void *socket = zmq_socket(context, kind);
    int patience_ms = 20000, linger_ms = 0, heartbeat_ms = 20, timeout_ms = 5000;
    CHECK(socket != NULL);
    CHECK(zmq_setsockopt(socket, ZMQ_RCVTIMEO, &patience_ms, sizeof patience_ms) == 0);
    CHECK(zmq_setsockopt(socket, ZMQ_SNDTIMEO, &patience_ms, sizeof patience_ms) == 0);
    CHECK(zmq_setsockopt(socket, ZMQ_LINGER, &linger_ms, sizeof linger_ms) == 0);
    CHECK(zmq_setsockopt(socket, ZMQ_HEARTBEAT_IVL, &heartbeat_ms, sizeof heartbeat_ms) == 0);
    CHECK(zmq_setsockopt(socket, ZMQ_HEARTBEAT_TIMEOUT, &timeout_ms, sizeof timeout_ms) == 0);
    CHECK(zmq_setsockopt(socket, ZMQ_HEARTBEAT_TTL, &timeout_ms, sizeof timeout_ms) == 0);
    CHECK(zmq_connect(socket, endpoint) == 0);
    return socket;
}

static int receive(void *socket, const char *what) {
    int size = zmq_recv(socket, reply, sizeof reply - 1, 0);
    CHECK(size >= 0 && size < (int)sizeof reply);
    reply[size] = 0;
    if (what != NULL) CHECK(memmem(reply, size, what, strlen(what)) != NULL);
    return size;
}

static void converse(void *socket, int has_delimiter) {
    for (int number = 0; number < 200; number++) {
        const char *body = number % 2 ? PING_JSON : PING_MSGPACK;
        size_t size = number % 2 ? sizeof PING_JSON - 1 : sizeof PING_MSGPACK - 1;
        if (has_delimiter) CHECK(zmq_send(socket, "", 0, ZMQ_SNDMORE) == 0);
        CHECK(zmq_send(socket, body, size, 0) == (int)size);
        if (has_delimiter) CHECK(receive(socket, NULL) == 0);
        receive(socket, "pong");
    }
}

int main(int argc, char **argv) {
    CHECK(argc == 2);
    void *context = zmq_ctx_new();
    void *dealer = open_socket(context, ZMQ_DEALER, argv[1]);
    converse(dealer, 0);
    converse(dealer, 1);
    /* Many under way. */
    for (int number = 0; number < 5000; number++)
        CHECK(zmq_send(dealer, PING_JSON, sizeof PING_JSON - 1, 0) > 0);
    for (int number = 0; number < 5000; number++) receive(dealer, "pong");
    /* Frames of 4 MiB are too long for a request, and answered. */
    memset(large, ' ', sizeof large);
    large[0] = '{';
    for (int number = 0; number < 3; number++) {
        CHECK(zmq_send(dealer, large, sizeof large, 0) == (int)sizeof large);
        receive(dealer, "message_too_large");
    }
    memcpy(large, PING_JSON, sizeof PING_JSON - 1);
    CHECK(zmq_send(dealer, large, 262144, 0) == 262144);
    receive(dealer, "pong");
    /* Wrong frames. */
    for (int number = 0; number < 1000; number++)
        CHECK(zmq_send(dealer, "x", 1, number < 999 ? ZMQ_SNDMORE : 0) == 1);
    receive(dealer, "bad_framing");
    /* Goes, and comes back. */
    for (int number = 0; number < 20; number++) {
        CHECK(zmq_close(dealer) == 0);
        dealer = open_socket(context, ZMQ_DEALER, argv[1]);
        CHECK(zmq_send(dealer, PING_JSON, sizeof PING_JSON - 1, 0) > 0);
        receive(dealer, "pong");
    }
    void *req = open_socket(context, ZMQ_REQ, argv[1]);
    converse(req, 0);
    CHECK(zmq_close(req) == 0);
    CHECK(zmq_close(dealer) == 0);
    CHECK(zmq_ctx_term(context) == 0);
    puts("ok");
    return 0;
}
