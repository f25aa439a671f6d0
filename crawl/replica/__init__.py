"""The embedded platform: a loopback site that real Chromium and the real yt-dlp crawl under the real host names."""
