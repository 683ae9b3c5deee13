#pragma once

namespace teeio::cli {

class Command;

/// Declares `explore progress FILE...` below `explore`: how far shards are, as the files
/// say that they keep with --save.
void declare_explore_progress(Command& explore);

}  // namespace teeio::cli
