/* main.c - the process: its locale and its three standard streams. Everything else is cli_main's. */
#include <fcntl.h>
#include <locale.h>

#include "tui/cli/cli.h"

int main(int argc, char **argv) {
    /* A stream that is closed would hand its number to the next file opened, and its text would land there. Opened
     * the wrong way round instead, every use of it fails, as it should. */
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY) != fd) return CLI_FILE;
    setlocale(LC_CTYPE, "");
    return cli_main(argc, argv);
}
