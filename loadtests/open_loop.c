/* Requests at a fixed rate, whatever the server does (an open loop): latency counts from when a request was due.
 *
 * open_loop PORT CONNECTIONS RATE SECONDS FILE
 *
 * FILE holds whole requests without bodies, each ending in an empty line; they are sent in turn, one at a time on a
 * connection (keep-alive). A request that is due while all connections wait is sent late and measured from when it
 * was due, so a server that stalls cannot hide it (no coordinated omission). Prints one line of JSON.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define BUFFER_BYTES 32768
#define GRACE_NS 10000000000LL /* for answers to what was sent last */
#define NO_REQUEST -1

typedef struct {
    int fd;
    int64_t request; /* its number, or NO_REQUEST */
    size_t received;
    char buffer[BUFFER_BYTES];
} connection;

typedef struct {
    const char *start;
    size_t size;
} span;

static struct sockaddr_in server;
static int events_fd, timer_fd;
static span *requests;
static size_t request_count;
static connection *connections;
static int *idle; /* a ring of connections that wait for work, longest idle first */
static int idle_first, idle_count, connection_count;
static int64_t began_ns, total, sent, done, answered, failed, not_302;
static double interval_ns;
static int64_t *latencies_ns;

static void die(const char *what) {
    perror(what);
    exit(1);
}

static int64_t now_ns(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static int64_t due_ns(int64_t request) { return began_ns + (int64_t)(request * interval_ns); }

static void read_requests(const char *path) {
    struct stat status;
    int file = open(path, O_RDONLY);
    if (file < 0 || fstat(file, &status) < 0) die(path);
    const char *at = mmap(NULL, status.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, file, 0);
    if (at == MAP_FAILED) die(path);
    const char *end = at + status.st_size, *next;
    size_t room = 0;
    while (at < end && (next = memmem(at, end - at, "\r\n\r\n", 4)) != NULL) {
        if (request_count == room) {
            room = room ? room * 2 : 1024;
            if ((requests = realloc(requests, room * sizeof *requests)) == NULL) die("memory");
        }
        requests[request_count++] = (span){at, next + 4 - at};
        at = next + 4;
    }
    if (request_count == 0) {
        fprintf(stderr, "%s: no request\n", path);
        exit(1);
    }
}

static void rest(int number) {
    connections[number].request = NO_REQUEST;
    idle[(idle_first + idle_count++) % connection_count] = number;
}

static void dial(int number) {
    connection *one = &connections[number];
    int yes = 1;
    one->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (one->fd < 0 || connect(one->fd, (struct sockaddr *)&server, sizeof server) < 0) die("connect");
    setsockopt(one->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    fcntl(one->fd, F_SETFL, O_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = number};
    if (epoll_ctl(events_fd, EPOLL_CTL_ADD, one->fd, &event) < 0) die("epoll_ctl");
    one->received = 0;
    rest(number);
}

static void finish(connection *one) {
    latencies_ns[done++] = now_ns() - due_ns(one->request);
    one->request = NO_REQUEST;
}

static void lose(int number) {
    connection *one = &connections[number];
    close(one->fd);
    if (one->request != NO_REQUEST) {
        failed++;
        finish(one);
        dial(number);
    } else {
        /* Closed while idle: it stands in the ring already. */
        dial(number);
        idle_count--;
    }
}

static void send_due(int64_t now) {
    while (idle_count > 0 && sent < total && due_ns(sent) <= now) {
        int number = idle[idle_first];
        connection *one = &connections[number];
        span *request = &requests[sent % request_count];
        idle_first = (idle_first + 1) % connection_count;
        idle_count--;
        one->request = sent++;
        one->received = 0;
        if (send(one->fd, request->start, request->size, MSG_NOSIGNAL) != (ssize_t)request->size) lose(number);
    }
}

/* 0: more is to come; -1: not what this program understands; else the size of the answer. */
static ssize_t answer_size(connection *one) {
    char *end = memmem(one->buffer, one->received, "\r\n\r\n", 4);
    if (end == NULL) return one->received < BUFFER_BYTES ? 0 : -1;
    ssize_t size = end + 4 - one->buffer;
    for (char *line = one->buffer; line < end; line = (char *)memmem(line, end + 2 - line, "\r\n", 2) + 2)
        if (strncasecmp(line, "content-length:", 15) == 0) size += atol(line + 15);
    if (size > BUFFER_BYTES) return -1;
    return (size_t)size <= one->received ? size : 0;
}

static void receive(int number) {
    connection *one = &connections[number];
    ssize_t got = recv(one->fd, one->buffer + one->received, BUFFER_BYTES - one->received, 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0 || one->request == NO_REQUEST) {
        lose(number);
        return;
    }
    one->received += got;
    ssize_t size = answer_size(one);
    if (size < 0) lose(number);
    if (size <= 0) return;
    answered++;
    if (one->received < 12 || memcmp(one->buffer + 9, "302", 3) != 0) not_302++;
    finish(one);
    rest(number);
}

static void arm(int64_t at_ns) {
    struct itimerspec when = {.it_value = {at_ns / 1000000000LL, at_ns % 1000000000LL}};
    timerfd_settime(timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

static void run(void) {
    struct epoll_event ready[256];
    int64_t give_up_ns = due_ns(total) + GRACE_NS;
    while (done < total && now_ns() < give_up_ns) {
        send_due(now_ns());
        arm(sent < total && idle_count > 0 ? due_ns(sent) : give_up_ns);
        int count = epoll_wait(events_fd, ready, 256, -1);
        for (int index = 0; index < count; index++)
            if (ready[index].data.u32 != UINT32_MAX) receive(ready[index].data.u32);
    }
    /* What has no answer by now counts as failed, for as long as it waited. */
    for (int number = 0; number < connection_count; number++)
        if (connections[number].request != NO_REQUEST) {
            failed++;
            finish(&connections[number]);
        }
    for (; sent < total; sent++) {
        failed++;
        latencies_ns[done++] = now_ns() - due_ns(sent);
    }
}

static int by_size(const void *left, const void *right) {
    int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;
    return (a > b) - (a < b);
}

static double percentile_ms(double share) {
    int64_t rank = (int64_t)(share * total + 0.999999) - 1;
    return latencies_ns[rank < 0 ? 0 : rank >= total ? total - 1 : rank] / 1e6;
}

int main(int argc, char **argv) {
    if (argc != 6) {
        fprintf(stderr, "open_loop PORT CONNECTIONS RATE SECONDS FILE\n");
        return 2;
    }
    connection_count = atoi(argv[2]);
    double rate = atof(argv[3]), seconds = atof(argv[4]);
    total = (int64_t)(rate * seconds);
    if (connection_count < 1 || total < 1) {
        fprintf(stderr, "open_loop: nothing to send\n");
        return 2;
    }
    interval_ns = 1e9 / rate;
    server = (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(atoi(argv[1])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    prctl(PR_SET_TIMERSLACK, 1UL);
    read_requests(argv[5]);
    latencies_ns = calloc(total, sizeof *latencies_ns);
    connections = calloc(connection_count, sizeof *connections);
    idle = calloc(connection_count, sizeof *idle);
    if (latencies_ns == NULL || connections == NULL || idle == NULL) die("memory");
    events_fd = epoll_create1(0);
    timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    struct epoll_event tick = {.events = EPOLLIN, .data.u32 = UINT32_MAX};
    if (events_fd < 0 || timer_fd < 0 || epoll_ctl(events_fd, EPOLL_CTL_ADD, timer_fd, &tick) < 0) die("epoll");
    for (int number = 0; number < connection_count; number++) dial(number);
    began_ns = now_ns();
    run();
    int64_t took_ns = now_ns() - began_ns;
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    double busy_s = usage.ru_utime.tv_sec + usage.ru_stime.tv_sec +
                    (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    qsort(latencies_ns, total, sizeof *latencies_ns, by_size);
    printf("{\"requests\": %lld, \"failed\": %lld, \"not_302\": %lld, \"seconds\": %.6f, \"busy\": %.3f, "
           "\"p50_ms\": %.4f, \"p99_ms\": %.4f, \"p999_ms\": %.4f, \"max_ms\": %.4f}\n",
           (long long)answered, (long long)failed, (long long)not_302, took_ns / 1e9, busy_s / (took_ns / 1e9),
           percentile_ms(0.5), percentile_ms(0.99), percentile_ms(0.999), latencies_ns[total - 1] / 1e6);
    return 0;
}
