/* The kernel left out: recvmmsg of one descriptor number gives queries from memory, sendmmsg takes the answers and counts.
   Preloaded by path.py, so that what is left is the compiled path's own time. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { DESCRIPTOR = 1000000, FIRST_CLIENT = 0x0a000001, INFO = 12 };

static unsigned char *queries; /* each with its size before it, two bytes, little-endian */
static uint32_t *places, count, following, batch, clients, left;
static uint64_t answers, denials;

/* The queries to be asked over and over, how many a call gives, and from how many addresses. How many there are; 0: none. */
uint32_t replay_load(const unsigned char *data, size_t size, uint32_t batch_size, uint32_t client_count) {
  uint32_t n = 0;
  for (size_t i = 0; i + 2 <= size; i += 2 + (data[i] | data[i + 1] << 8)) n++;
  queries = malloc(size);
  places = malloc(n * sizeof *places);
  if (!queries || !places) return 0;
  memcpy(queries, data, size);
  count = 0;
  for (size_t i = 0; i + 2 <= size; i += 2 + (data[i] | data[i + 1] << 8)) places[count++] = i;
  batch = batch_size;
  clients = client_count;
  following = 0;
  return count;
}

/* How many queries are there from now on. */
void replay_go(uint32_t n) { left = n; }

uint64_t replay_answers(void) { return answers; }

uint64_t replay_denials(void) { return denials; }

int recvmmsg(int fd, struct mmsghdr *messages, unsigned n, int flags, struct timespec *timeout) {
  static int (*real)(int, struct mmsghdr *, unsigned, int, struct timespec *);
  if (fd != DESCRIPTOR) {
    if (!real) real = dlsym(RTLD_NEXT, "recvmmsg");
    return real(fd, messages, n, flags, timeout);
  }
  if (n > batch) n = batch;
  if (n > left) n = left;
  if (!n) return errno = EAGAIN, -1;
  left -= n;
  for (unsigned i = 0; i < n; i++) {
    struct msghdr *head = &messages[i].msg_hdr;
    const unsigned char *query = queries + places[following];
    messages[i].msg_len = query[0] | query[1] << 8;
    memcpy(head->msg_iov->iov_base, query + 2, messages[i].msg_len);
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_port = htons(5000 + following % 8)};
    from.sin_addr.s_addr = htonl(FIRST_CLIENT + ((following * 2654435761u) >> 8) % clients);
    memcpy(head->msg_name, &from, sizeof from);
    head->msg_namelen = sizeof from;
    if (head->msg_control) {
      struct cmsghdr *info = head->msg_control;
      info->cmsg_level = IPPROTO_IP;
      info->cmsg_type = IP_PKTINFO;
      info->cmsg_len = CMSG_LEN(INFO);
      memset(CMSG_DATA(info), 1, INFO);
      head->msg_controllen = CMSG_SPACE(INFO);
    }
    if (++following == count) following = 0;
  }
  return n;
}

int sendmmsg(int fd, struct mmsghdr *messages, unsigned n, int flags) {
  static int (*real)(int, struct mmsghdr *, unsigned, int);
  if (fd != DESCRIPTOR) {
    if (!real) real = dlsym(RTLD_NEXT, "sendmmsg");
    return real(fd, messages, n, flags);
  }
  for (unsigned i = 0; i < n; i++) denials += (((unsigned char *)messages[i].msg_hdr.msg_iov->iov_base)[3] & 15) == 3;
  answers += n;
  return n;
}
