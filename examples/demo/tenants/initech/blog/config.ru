run ->(env) { [200, {'content-type' => 'text/plain'}, ["blog of initech: ruby #{RUBY_VERSION}, by #{ENV['AUTHOR']}\n"]] }
