from zhisuan.site.main import main

raise SystemExit(main())
