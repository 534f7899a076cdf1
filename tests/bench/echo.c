/* The kernel's floor: the same packets in and out by recvmmsg and sendmmsg, nothing decided in between.
   `echo PORT` on a loopback socket; `echo PORT wildcard` with what a server of many addresses asks of the kernel besides. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

enum { BATCH = 64, BYTES = 1500, CONTROL = 64 };

int main(int n_args, char **args) {
  int wildcard = n_args > 2, size = 4 << 20, on = 1, probe = IP_PMTUDISC_PROBE;
  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
  if (wildcard) {
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof on);
    setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &probe, sizeof probe);
  }
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(atoi(args[1]))};
  at.sin_addr.s_addr = htonl(wildcard ? INADDR_ANY : INADDR_LOOPBACK);
  if (bind(fd, (void *)&at, sizeof at)) return 1;
  static struct mmsghdr m[BATCH];
  static struct iovec v[BATCH];
  static unsigned char b[BATCH][BYTES], c[BATCH][CONTROL];
  static struct sockaddr_in a[BATCH];
  for (int i = 0; i < BATCH; i++) {
    v[i].iov_base = b[i];
    m[i].msg_hdr.msg_iov = &v[i];
    m[i].msg_hdr.msg_iovlen = 1;
    m[i].msg_hdr.msg_name = &a[i];
  }
  for (;;) {
    struct pollfd p = {fd, POLLIN, 0};
    poll(&p, 1, -1);
    for (int i = 0; i < BATCH; i++) {
      v[i].iov_len = BYTES;
      m[i].msg_hdr.msg_namelen = sizeof a[i];
      m[i].msg_hdr.msg_control = wildcard ? c[i] : 0;
      m[i].msg_hdr.msg_controllen = wildcard ? CONTROL : 0;
    }
    int n = recvmmsg(fd, m, BATCH, MSG_DONTWAIT, 0);
    if (n <= 0) continue;
    for (int i = 0; i < n; i++) {
      b[i][2] |= 0x80;
      b[i][3] = 0x83;
      v[i].iov_len = m[i].msg_len;
    }
    sendmmsg(fd, m, n, 0);
  }
}
