/* interrupt.c - Ctrl-C: the first asks to stop, so that what is known is still reported; the second kills. A request to
 * terminate, or the terminal's end, asks the same: no half-written file is left over.
 *
 * The handler does nothing but set a flag and call cut_session_cancel, which is made for it. */
#include <signal.h>
#include <stdatomic.h>

#include "tui/cli/cli.h"

static volatile sig_atomic_t interrupted;
static _Atomic(struct cut_session *) watched;

static void on_interrupt(int sig) {
    (void)sig;
    interrupted = 1;
    struct cut_session *s = atomic_load(&watched);
    if (s) cut_session_cancel(s);
}

/* SA_RESETHAND gives the second Ctrl-C its ordinary meaning back; without SA_RESTART, a read of the keyboard ends. */
void cli_interrupt_arm(void) {
    struct sigaction act = { .sa_handler = on_interrupt, .sa_flags = SA_RESETHAND };
    sigemptyset(&act.sa_mask);
    sigaction(SIGINT, &act, NULL);
    sigaction(SIGTERM, &act, NULL);
    struct sigaction hangup;               /* nohup asked for the terminal's end to be passed over */
    if (!sigaction(SIGHUP, NULL, &hangup) && hangup.sa_handler != SIG_IGN) sigaction(SIGHUP, &act, NULL);
}

void cli_interrupt_watch(struct cut_session *s) { atomic_store(&watched, s); }
bool cli_interrupted(void) { return interrupted; }
