/* The kernel's floor: the same packets in and out by recvmmsg and sendmmsg, nothing decided in between. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
int main(int n_args, char **args) {
  (void)n_args;
  int fd = socket(AF_INET, SOCK_DGRAM, 0), size = 4 << 20;
  setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(atoi(args[1])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  if (bind(fd, (void *)&at, sizeof at)) return 1;
  static struct mmsghdr m[64]; static struct iovec v[64]; static unsigned char b[64][1500]; static struct sockaddr_in a[64];
  for (int i = 0; i < 64; i++) { v[i].iov_base = b[i]; m[i].msg_hdr.msg_iov = &v[i]; m[i].msg_hdr.msg_iovlen = 1; m[i].msg_hdr.msg_name = &a[i]; }
  for (;;) {
    struct pollfd p = {fd, POLLIN, 0};
    poll(&p, 1, -1);
    for (int i = 0; i < 64; i++) { v[i].iov_len = 1500; m[i].msg_hdr.msg_namelen = sizeof a[i]; }
    int n = recvmmsg(fd, m, 64, MSG_DONTWAIT, 0);
    if (n <= 0) continue;
    for (int i = 0; i < n; i++) { b[i][2] |= 0x80; b[i][3] = 0x83; v[i].iov_len = m[i].msg_len; }
    sendmmsg(fd, m, n, 0);
  }
}
