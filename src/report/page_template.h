#pragma once

#include <string_view>

namespace teeio::report {

/// The page of html_page() without its data: page.html, compiled in.
[[nodiscard]] std::string_view page_template();

}  // namespace teeio::report
