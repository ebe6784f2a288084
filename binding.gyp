{
  # A shim for tools that look for this file: the build is described in CMakeLists.txt and run by cmake-js.
  # The published package is without it: npm would build the addon whenever it installs from a lock file.
  "targets": [
    {
      "target_name": "bertune",
      "type": "none",
      "actions": [
        {
          "action_name": "cmake-js",
          "inputs": ["CMakeLists.txt"],
          "outputs": ["<(module_root_dir)/build/Release/bertune.node"],
          "action": ["node", "<(module_root_dir)/scripts/build.js", "--native"]
        }
      ]
    }
  ]
}
