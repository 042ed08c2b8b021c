#include "cmd/tfs_dump/options.h"

#include "lib/cli/options.h"

namespace tfs {

Result<Options> parse_options(int argc, char** argv) {
  Options options;
  cli::Usage usage{
      .synopsis = "tfs_dump [--no-data] [--encode] [FILE]",
      .summary =
          "Prints a stream as one line of JSON a frame, and makes the stream again from\n"
          "them. Without FILE, or where it is -, standard input is read.",
      .options =
          {
              {"--no-data", 'n', "", "leave the content of files out, and give its size",
               cli::set_flag(options.with_data, false)},
              {"--encode", 'e', "", "read such lines, and write the stream", cli::set_flag(options.encode)},
          },
      .max_operands = 1,
  };
  cli::Parsed parsed = TFS_TRY(cli::parse(argc, argv, usage));
  options.is_done = parsed.is_done;
  if (!parsed.operands.empty()) options.file = parsed.operands[0];
  if (!options.is_done && options.encode && !options.with_data) {
    return usage_error("--encode and --no-data do not go together: a stream has its data");
  }
  return options;
}

}  // namespace tfs
